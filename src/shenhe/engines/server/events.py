"""Server-sent events, parsed by their specification (WHATWG HTML, 9.2.6) as bytes arrive."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator


class EventParser:
    r"""The data of each event.

    Lines may end in CR, LF or both; the space behind a colon is optional; comments, other fields
    and a byte order mark are skipped. An event that ends with the stream counts as complete.

        >>> list(EventParser().feed(b"data:1\n\n: still there\ndata: 2\ndata: 3\n\n"))
        ['1', '2\n3']
    """

    def __init__(self) -> None:
        text = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._decoder = io.IncrementalNewlineDecoder(text, translate=True)
        self._partial_line: list[str] = []
        self._data: list[str] = []

    def feed(self, raw: bytes) -> Iterator[str]:
        """Take bytes, and yield the events that they complete."""
        yield from self._split(self._decoder.decode(raw))

    def end(self) -> Iterator[str]:
        """Yield the event that the end of the stream completes."""
        yield from self._split(self._decoder.decode(b"", final=True) + "\n\n")

    def _split(self, text: str) -> Iterator[str]:
        *lines, partial = text.split("\n")
        if lines:
            lines[0] = "".join(self._partial_line) + lines[0]
            self._partial_line = []
        self._partial_line.append(partial)
        for line in lines:
            if line:
                self._read_field(line)
            elif self._data:
                event, self._data = "\n".join(self._data), []
                yield event

    def _read_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name in ("data", "error"):  # llama.cpp reports errors in a field of that name
            self._data.append(value.removeprefix(" "))
