"""Streaming of texts that grow: each piece once, and only what continues the text so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from shenhe.errors import ItemError
from shenhe.messages import Answer, Piece, RequestFailed, Served


class StreamedText:
    r"""The text that has been streamed so far.

    >>> streamed = StreamedText()
    >>> [streamed.extend(text) for text in ("通", "通过", "不", "通过\n理由")]
    ['通', '过', '', '\n理由']
    """

    def __init__(self) -> None:
        self.text = ""

    def extend(self, text: str) -> str:
        """Return the new part of a longer text; empty if it does not continue the streamed one."""
        if not text.startswith(self.text):
            return ""
        piece = text[len(self.text) :]
        self.text = text
        return piece


@dataclass(slots=True)
class _Stream:
    """One answer: what has been passed on of it, and its text in the latest try."""

    sent: StreamedText = field(default_factory=StreamedText)
    scored: int = 0
    text: str = ""
    tries: int = 1


class Streams:
    r"""The streamed answers of an engine: what one begins with again is not passed on again.

    >>> streams = Streams()
    >>> [piece.text for text in ("通", "过") for piece in streams.add(Piece("a", text))]
    ['通', '过']
    >>> streams.restart(["a"])
    >>> [piece.text for text in ("通", "过\n理由") for piece in streams.add(Piece("a", text))]
    ['\n理由']
    """

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}

    def add(self, piece: Piece) -> Iterator[Piece]:
        """Take a piece of an answer's latest try, and yield what is new of it, if anything is."""
        stream = self._streams.setdefault(piece.key, _Stream())
        stream.text += piece.text
        text = stream.sent.extend(stream.text)
        # After an interruption only the end of the answer can say which were passed on.
        logprobs = piece.token_logprobs if stream.tries == 1 else ()
        stream.scored += len(logprobs)
        if text or logprobs:
            yield replace(piece, text=text, token_logprobs=logprobs)

    def restart(self, keys: Iterable[str]) -> None:
        """Note that answers begin anew."""
        for key in keys:
            if key in self._streams:
                stream = self._streams[key]
                stream.text, stream.tries = "", stream.tries + 1

    def end(self, result: Answer | RequestFailed, *, streamed: bool = False) -> Iterator[Served]:
        """Yield the rest of the text of a `streamed` answer, and the result.

        An answer that began anew, and now says what does not continue its pieces, has failed.
        """
        stream = self._streams.pop(result.key, _Stream() if streamed else None)
        if isinstance(result, Answer) and stream is not None:
            if stream.tries > 1 and not result.text.startswith(stream.sent.text):
                problem = "it was interrupted, and its second try says something else"
                yield RequestFailed.of_answer(result, ItemError("interrupted", problem))
                return
            text, logprobs = stream.sent.extend(result.text), result.token_logprobs[stream.scored :]
            if text or logprobs:
                yield Piece(result.key, text, logprobs)
        yield result
