"""Server-sent events, read by their specification (WHATWG HTML, 9.2.6) as the bytes come."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator


class Events:
    r"""The data of each event.

    Lines may end by CR, LF or both; the blank behind a colon may be missing; comments, other fields
    and a byte order mark are passed over. An event that the stream ends in is given as well.

        >>> list(Events().feed(b"data:1\n\n: still there\ndata: 2\ndata: 3\n\n"))
        ['1', '2\n3']
    """

    def __init__(self) -> None:
        text = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._decoder = io.IncrementalNewlineDecoder(text, translate=True)
        self._rest: list[str] = []
        self._data: list[str] = []

    def feed(self, raw: bytes) -> Iterator[str]:
        """Take some bytes, and give the events that are whole with them."""
        yield from self._lines(self._decoder.decode(raw))

    def end(self) -> Iterator[str]:
        """Give what the end of the stream completes."""
        yield from self._lines(self._decoder.decode(b"", final=True) + "\n\n")

    def _lines(self, text: str) -> Iterator[str]:
        *lines, rest = text.split("\n")
        if lines:
            lines[0] = "".join(self._rest) + lines[0]
            self._rest = []
        self._rest.append(rest)
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                event, self._data = "\n".join(self._data), []
                yield event

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name in ("data", "error"):  # llama.cpp tells errors by a field of that name
            self._data.append(value.removeprefix(" "))
