"""Continuous batching over paged attention: a new sequence joins the next pass of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator

from shenhe.engines.base import IDLE_SECONDS, EngineSpec
from shenhe.engines.cancelling import cancelled
from shenhe.engines.local.constraint import Constraint
from shenhe.engines.local.detokenizer import Detokenizer
from shenhe.engines.local.pieces import Pieces
from shenhe.engines.openvino.drawing import Drawing, log_softmax
from shenhe.engines.openvino.kv_blocks import blocks_for
from shenhe.engines.openvino.language_model import LanguageModel
from shenhe.engines.openvino.preparing import PreparedRequest
from shenhe.engines.openvino.runtime import Array
from shenhe.engines.openvino.sequence import Sequence
from shenhe.engines.openvino.token_choice import choose_token
from shenhe.engines.openvino.tower import Tower
from shenhe.engines.options import OpenvinoOptions
from shenhe.errors import ItemError, item_wall
from shenhe.messages import Answer, Request, RequestFailed, Served

MAX_STEP_TOKENS = 8192
"""Prompts go through the model together up to this many tokens."""
Entry = PreparedRequest | Answer | RequestFailed | None
"""A request to answer, a result that needs no work, or None: nothing at the moment."""


class Scheduler:
    """The running sequences of a model, and those that wait for room."""

    def __init__(
        self,
        model: LanguageModel,
        tower: Tower,
        spec: EngineSpec[OpenvinoOptions],
        detokenizer: Detokenizer,
        *,
        constrain: Callable[[Request], Constraint | None],
        is_cancelled: Callable[[str], bool],
    ) -> None:
        self._model, self._tower, self._spec = model, tower, spec
        self._detokenizer, self._pieces = detokenizer, Pieces(detokenizer)
        self._constrain, self._is_cancelled = constrain, is_cancelled
        self._slots = spec.max_batch_size or spec.engine.usual_batch_size
        self._running: list[Sequence] = []
        self._waiting: PreparedRequest | None = None
        self._exhausted = self._paused = False

    def run(self, source: Iterator[Entry]) -> Generator[Served, None, None]:
        """Yield results as sequences end, and pieces of those that are streamed.

        Raises: EngineError.
        """
        try:
            while self._running or self._waiting or not self._exhausted:
                yield from self._drop_cancelled()
                yield from self._admit(source)
                if self._running:
                    for sequence, scores in zip(
                        self._running, self._model.forward(self._running), strict=True
                    ):
                        self._accept(sequence, scores)
                    yield from self._postprocess()
                elif self._paused:
                    time.sleep(IDLE_SECONDS)
        finally:
            for sequence in self._running:
                self._model.end(sequence)

    def _admit(self, source: Iterator[Entry]) -> Iterator[Served]:
        """Start sequences while there is room; yield results that need none."""
        self._paused = False
        while self._has_room():
            entry, self._waiting = self._waiting or next(source, _END), None
            if entry is _END:
                self._exhausted = True
                return
            if entry is None:
                self._paused = True
                return
            if not isinstance(entry, PreparedRequest):
                yield entry
                continue
            if self._is_cancelled(entry.request.key):
                yield cancelled(entry.request)
            elif not self._fits(entry):
                self._waiting = entry
                return
            else:
                yield from self._start(entry)

    def _start(self, prepared: PreparedRequest) -> Iterator[RequestFailed]:
        """Start a sequence; yield the failure of one whose grammar cannot be started."""
        request, forced = prepared.request, list[int]()
        try:
            with item_wall("library_error", "the grammar"):
                if (constraint := self._constrain(request)) is not None:
                    # Tokens forced from the start go through the model with the prompt.
                    forced = constraint.forced_tokens()[: request.max_new_tokens - 1]
        except ItemError as error:
            yield RequestFailed.of(request, error)
            return
        blocks, cached = self._model.begin(prepared)
        sequence = Sequence(
            prepared=prepared,
            constraint=constraint,
            pending=[*prepared.token_ids[cached:].tolist(), *forced],
            cached=cached,
            output=forced,
            choices=self._detokenizer.choice_tokens(request),
            drawing=Drawing(request, self._spec, prepared.token_ids),
            blocks=blocks,
        )
        self._running.append(sequence)
        sequence.features = [
            self._tower.features(photo).behind(max(0, cached - photo.start))
            for photo in prepared.photos
            if photo.start + photo.tokens > cached
        ]

    def _accept(self, sequence: Sequence, scores: Array) -> None:
        """Choose the next token of a sequence."""
        with sequence.isolated():
            if sequence.at_choice and sequence.choices is not None:
                logprobs = log_softmax(scores)
                sequence.choice_logprobs = {
                    choice: float(logprobs[token])
                    for choice, token in sequence.choices.first.items()
                }
            self._detokenizer.append(sequence, choose_token(sequence, scores))

    def _postprocess(self) -> Iterator[Served]:
        """Yield pieces, and the results of ended sequences, and free their memory."""
        for sequence in self._running:
            if sequence.ended:
                self._model.end(sequence)
        running, self._running = (
            self._running,
            [sequence for sequence in self._running if not sequence.ended],
        )
        for sequence in running:
            yield from self._pieces.of(sequence)

    def _drop_cancelled(self) -> Iterator[Served]:
        """End the sequences that nobody waits for."""
        dropped = [s for s in self._running if self._is_cancelled(s.prepared.request.key)]
        for sequence in dropped:
            sequence.failure = cancelled(sequence.prepared.request)
        if dropped:
            yield from self._postprocess()

    def _has_room(self) -> bool:
        """Whether another sequence may run, and the tokens of the next pass are not too many."""
        tokens = sum(len(sequence.pending) for sequence in self._running)
        return not self._running or (len(self._running) < self._slots and tokens <= MAX_STEP_TOKENS)

    def _fits(self, prepared: PreparedRequest) -> bool:
        """Whether one more sequence fits in memory if all become as long as they may."""
        requests = [prepared, *(sequence.prepared for sequence in self._running)]
        blocks = sum(blocks_for(len(r.token_ids) + r.request.max_new_tokens) for r in requests)
        return len(requests) == 1 or blocks <= self._model.blocks.limit


_END = RequestFailed("", "", "")
"""Stands for the end of a source."""
