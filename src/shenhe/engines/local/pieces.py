"""Pieces of the answers that are streamed, as their tokens come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shenhe.engines.growing_answer import GrowingAnswer
from shenhe.engines.local.detokenizer import Detokenizer
from shenhe.engines.streaming import Streams
from shenhe.messages import Piece, Served


class Pieces:
    """Decodes new tokens of streamed sequences, each token once."""

    def __init__(self, detokenizer: Detokenizer) -> None:
        self._detokenizer, self._streams = detokenizer, Streams()

    def of(self, sequence: GrowingAnswer) -> Iterator[Served]:
        """Yield what is new of a sequence: its text, or its result and what comes before that."""
        streamed = sequence.prepared.request.streamed
        if sequence.ended:
            yield from self._streams.end(self._detokenizer.result(sequence), streamed=streamed)
        elif streamed:
            yield from self._new_text(sequence)

    def restart(self, sequences: Iterable[GrowingAnswer]) -> None:
        """Note that sequences are written anew."""
        self._streams.restart(sequence.prepared.request.key for sequence in sequences)

    def _new_text(self, sequence: GrowingAnswer) -> Iterator[Piece]:
        request, text = sequence.prepared.request, ""
        with sequence.isolated():
            text = self._detokenizer.text(sequence.output[sequence.decoded :])
        # U+FFFD stands for a character whose tokens are not complete yet.
        if not text or text.endswith("\ufffd"):
            return
        first, sequence.decoded = sequence.decoded, len(sequence.output)
        text = sequence.held + text
        shown = len(text) - length_of_beginning(text, request.stop)
        sequence.held = text[shown:]
        logprobs = self._detokenizer.logprobs(sequence, first)
        yield from self._streams.add(Piece(request.key, text[:shown], logprobs))


def length_of_beginning(text: str, stop: Iterable[str]) -> int:
    r"""Count the characters at the end of a text with which one of others may begin.

    >>> length_of_beginning("螺丝\n理", ["\n理由", "不"])
    2
    """
    lengths = (
        length for end in stop for length in range(1, len(end)) if text.endswith(end[:length])
    )
    return max(lengths, default=0)
