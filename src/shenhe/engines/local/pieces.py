"""Pieces of the answers that are streamed, as their tokens come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shenhe.engines.local.detokenizer import Detokenizer
from shenhe.engines.local.sequence import Sequence
from shenhe.engines.streaming import Streams
from shenhe.messages import Piece, Served


class Pieces:
    """Decodes new tokens of streamed sequences, each token once."""

    def __init__(self, detokenizer: Detokenizer) -> None:
        self._detokenizer, self._streams = detokenizer, Streams()

    def of(self, sequence: Sequence) -> Iterator[Served]:
        """Yield what is new of a sequence: its text, or its result and what comes before that."""
        streamed = sequence.prepared.request.streamed
        if sequence.ended:
            yield from self._streams.end(self._detokenizer.result(sequence), streamed=streamed)
        elif streamed:
            yield from self._new_text(sequence)

    def restart(self, sequences: Iterable[Sequence]) -> None:
        """Note that sequences are written anew."""
        self._streams.restart(sequence.prepared.request.key for sequence in sequences)

    def _new_text(self, sequence: Sequence) -> Iterator[Piece]:
        text = ""
        with sequence.isolated():
            text = self._detokenizer.text(sequence.output[sequence.decoded :])
        # U+FFFD stands for a character whose tokens are not complete yet.
        if text and not text.endswith("\ufffd"):
            sequence.decoded = len(sequence.output)
            yield from self._streams.add(sequence.prepared.request.key, text)
