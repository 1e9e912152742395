"""Continuous batching: a slot is refilled as soon as its sequence ends.

Each step schedules waiting requests into free slots, runs prefill of the new sequences and decode
of the others in one packed forward pass, samples, and yields the sequences that ended.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator

import torch

from shenhe.engines.base import IDLE_SECONDS, EngineSpec
from shenhe.engines.cancelling import cancelled
from shenhe.engines.local.constraint import Constraint
from shenhe.engines.local.detokenizer import Detokenizer
from shenhe.engines.local.kept_work import KeptWork
from shenhe.engines.local.kv_cache import memory_budget
from shenhe.engines.local.model_runner import ModelRunner, Scores
from shenhe.engines.local.ngram_drafts import NgramDrafts
from shenhe.engines.local.pieces import Pieces
from shenhe.engines.local.preprocessing import PreparedRequest
from shenhe.engines.local.repetition import RepetitionPenalty
from shenhe.engines.local.sampler import Sampler
from shenhe.engines.local.sequence import Sequence
from shenhe.engines.local.shared_beginnings import SharedBeginnings
from shenhe.engines.local.token_choice import allowed_tokens, choose_token
from shenhe.engines.options import LocalOptions
from shenhe.engines.sampling import sampling_of
from shenhe.errors import ItemError, item_wall, spelled
from shenhe.messages import Answer, Request, RequestFailed, Served

MAX_STEP_TOKENS = 8192
"""Prompts are prefilled together up to this many tokens."""
MAX_SPECULATING = {"cpu": 4, "cuda": 32}
"""Largest batch that speculates, by device. Drafts pay while a pass costs more by its being one
than by its tokens; on a CPU that ends soon, with a large vocabulary above all: each draft token
takes a row of the LM head."""
MAX_RESULTS = 64
"""Results without a slot that are passed on before the next forward pass."""

Result = Answer | RequestFailed
Entry = PreparedRequest | Result | None
"""A request to answer, a result that needs no slot, or None: nothing at the moment."""


class Scheduler:
    """The running sequences of a model, their KV cache, and the queue of waiting requests."""

    def __init__(
        self,
        runner: ModelRunner,
        spec: EngineSpec[LocalOptions],
        detokenizer: Detokenizer,
        *,
        constrain: Callable[[Request], Constraint | None],
        kept: KeptWork,
        drafts: NgramDrafts,
        slots: int | None,
        is_cancelled: Callable[[str], bool] = lambda key: False,
    ) -> None:
        """Run at most `slots` sequences at once; None: as many as memory allows."""
        self._runner, self._spec, self._constrain = runner, spec, constrain
        self._detokenizer, self._kept, self._drafts = detokenizer, kept, drafts
        self.cache = runner.new_cache()
        self.slots, self.shrunk = slots or spec.engine.usual_batch_size, False
        self._budget_bytes = None if slots else memory_budget(runner.device)
        self.running: list[Sequence] = []
        self._waiting: deque[PreparedRequest] = deque()
        self._pieces, self._is_cancelled = Pieces(detokenizer), is_cancelled
        self._exhausted = self._paused = False

    def run(self, source: Iterator[Entry]) -> Iterator[Served]:
        """Yield results as sequences end, and pieces of those that are streamed.

        Raises: exceptions of torch and transformers, except for memory that runs out: the running
        sequences are then restarted in half as many slots.
        """
        while self.running or self._waiting or not self._exhausted:
            yield from self.step(source)

    def step(self, source: Iterator[Entry]) -> Iterator[Served]:
        """Schedule, prefill and decode, sample, postprocess; yield results as in `run`."""
        yield from self._drop_cancelled()
        yield from self.schedule(source)
        if not self.running:
            if self._paused:
                time.sleep(IDLE_SECONDS)
            return
        try:
            self.advance()
        except torch.OutOfMemoryError as error:
            yield from self._preempt(error)
        yield from self.postprocess()

    def schedule(self, source: Iterator[Entry]) -> list[Result]:
        """Admit requests to free slots while the tokens of the pass and the memory stay bounded.

        Returns the results that need no slot.
        """
        results: list[Result] = []
        self._paused = False
        shared = SharedBeginnings(self._kept.prefixes, self.cache.bytes_per_token)
        while self._has_room() and not shared.is_full and len(results) < MAX_RESULTS:
            entry = self._take(source)
            if entry is None:
                break
            if not isinstance(entry, PreparedRequest):
                results.append(entry)
                continue
            if self._is_cancelled(entry.request.key):
                results.append(cancelled(entry.request))
                break  # before another request waits for its answer
            if shared.defer(entry):
                continue
            if not self._fits(entry):
                self._waiting.appendleft(entry)
                break
            try:
                self.admit(entry)
                shared.start(entry)
            except ItemError as error:
                results.append(RequestFailed.of(entry.request, error))
            except torch.OutOfMemoryError:
                if not self.running:
                    raise
                self._waiting.appendleft(entry)
                self._shrink(len(self.running))
                break
        self._waiting.extendleft(reversed(shared.waiting))
        self.running.sort(key=lambda sequence: sequence.slot)
        return results

    def _take(self, source: Iterator[Entry]) -> Entry:
        """Take what waits, else what comes next; None, and a note why, where nothing does."""
        try:
            entry = self._waiting.popleft() if self._waiting else next(source)
        except StopIteration:
            self._exhausted = True
            return None
        self._paused = entry is None
        return entry

    def admit(self, prepared: PreparedRequest) -> Sequence:
        """Start a sequence in the first free slot, from the cached prefix of its prompt.

        Raises: ItemError if its grammar cannot be started; torch.OutOfMemoryError.
        """
        slot, request = self._free_slots()[0], prepared.request
        forced: list[int] = []
        with item_wall("library_error", "the grammar"):
            if (constraint := self._constrain(request)) is not None:
                # Tokens forced from the start are prefilled together with the prompt.
                forced = constraint.forced_tokens()[: request.max_new_tokens - 1]
        prompt = prepared.token_ids.tolist()
        self._reserve(slot, len(prompt) + len(forced) + 1)
        cached = self._kept.prefixes.load(self.cache, slot, prepared.units)
        sequence = Sequence(
            prepared=prepared,
            sampler=Sampler(request, self._spec),
            constraint=constraint,
            penalty=self._penalty(prepared),
            slot=slot,
            cached=cached,
            pending=[*prompt[cached:], *forced],
            output=forced,
            choices=self._detokenizer.choice_tokens(request),
        )
        self.running.append(sequence)
        return sequence

    def advance(self) -> None:
        """Run prefill and decode in one packed forward pass, and sample the next tokens."""
        prefill = [sequence for sequence in self.running if sequence.in_prefill]
        decode = [sequence for sequence in self.running if not sequence.in_prefill]
        self._speculate(decode)
        scores = self._forward()
        for sequence in self.running:
            sequence.advance(len(sequence.pending))
        for sequence in prefill:
            self._kept.prefixes.store(self.cache, sequence.slot, sequence.prepared.units)
        for sequence in self.running:
            self._sample(sequence, scores[sequence.slot])

    def postprocess(self) -> Iterator[Served]:
        """Yield pieces, and the results of ended sequences, and free their slots."""
        for sequence in self.running:
            yield from self._pieces.of(sequence)
        self.running = [sequence for sequence in self.running if not sequence.ended]

    def _drop_cancelled(self) -> Iterator[Served]:
        """End the sequences that nobody waits for."""
        dropped = [s for s in self.running if self._is_cancelled(s.prepared.request.key)]
        for sequence in dropped:
            sequence.failure = cancelled(sequence.prepared.request)
        if dropped:
            yield from self.postprocess()

    def _speculate(self, decode: list[Sequence]) -> None:
        """Draft tokens by n-gram speculation, for greedy sequences of a small batch."""
        limit = MAX_SPECULATING.get(self._runner.device.type, MAX_SPECULATING["cpu"])
        if not self._spec.engine.speculate or len(self.running) > limit:
            return
        for sequence in decode:
            if sequence.sampler.greedy:
                left = sequence.prepared.request.max_new_tokens - len(sequence.output)
                sequence.draft = self._drafts.propose(sequence.output, left - 1)

    def _forward(self) -> dict[int, list[Scores]]:
        """Run the model over all next tokens.

        Returns, by slot, the scores behind the last pending token and behind each draft token.
        """
        self._reserve(
            max(sequence.slot for sequence in self.running),
            max(sequence.cached + len(sequence.next_tokens) for sequence in self.running),
        )
        hidden = self._runner.forward(self.running, self.cache)
        allowed = [tokens for sequence in self.running for tokens in allowed_tokens(sequence)]
        scores = iter(self._runner.scores(hidden, allowed))
        return {
            sequence.slot: [next(scores) for _ in range(1 + len(sequence.draft))]
            for sequence in self.running
        }

    def _sample(self, sequence: Sequence, scores: list[Scores]) -> None:
        """Sample the next token, and further ones as long as the draft agrees."""
        length = len(sequence.output)
        with sequence.isolated():
            self._accept(sequence, scores)
        if self._spec.engine.speculate:
            self._drafts.learn(sequence.output, length)

    def _accept(self, sequence: Sequence, scores: list[Scores]) -> None:
        draft, accepted = sequence.draft, 0
        sequence.draft = []
        while not sequence.ended and not sequence.pending:
            if sequence.at_choice:
                sequence.keep_choice_logprobs(scores[accepted].values)
            self._detokenizer.append(sequence, choose_token(sequence, scores[accepted]))
            pending, verified = sequence.pending, 0
            # Equal draft tokens went through the model already: they are cached.
            while (
                verified < len(pending)
                and pending[verified : verified + 1] == draft[accepted : accepted + 1]
            ):
                verified, accepted = verified + 1, accepted + 1
            sequence.advance(verified)

    def _has_room(self) -> bool:
        """Whether a slot is free, and the tokens of the next pass are not too many."""
        tokens = sum(len(sequence.pending) for sequence in self.running)
        return bool(self._free_slots()) and (not self.running or tokens <= MAX_STEP_TOKENS)

    def _free_slots(self) -> list[int]:
        taken = {sequence.slot for sequence in self.running}
        return [slot for slot in range(self.slots) if slot not in taken]

    def _fits(self, prepared: PreparedRequest) -> bool:
        """Whether one more sequence fits in memory if all become as long as they may."""
        if not self.running or self._budget_bytes is None:
            return True
        requests = [prepared, *(sequence.prepared for sequence in self.running)]
        tokens = len(requests) * max(request.max_tokens for request in requests)
        return tokens * self.cache.bytes_per_token <= self._budget_bytes

    def _reserve(self, slot: int, tokens: int) -> None:
        """Grow the KV cache; slots double each time, as growing copies it."""
        self.cache.reserve(min(self.slots, 1 << slot.bit_length()), tokens)

    def _penalty(self, prepared: PreparedRequest) -> RepetitionPenalty | None:
        penalty = sampling_of(prepared.request, self._spec).repetition_penalty
        if penalty == 1:
            return None
        return RepetitionPenalty(penalty, prepared.token_ids, self._runner.vocabulary_size)

    def _preempt(self, error: torch.OutOfMemoryError) -> Iterator[RequestFailed]:
        """Put the running sequences back in the queue and halve the slots.

        Yields the failure of a request that is too large alone.
        """
        self._pieces.restart(self.running)
        preempted, self.running = [sequence.prepared for sequence in self.running], []
        self.cache.clear()
        self._kept.clear()
        torch.cuda.empty_cache()
        if len(preempted) > 1:
            self._waiting.extendleft(reversed(preempted))
            self._shrink(-(-len(preempted) // 2))
            return
        message = f"one request alone is too large; lower {spelled('max_pixels')}: {error}"
        yield RequestFailed.of(preempted[0].request, ItemError("out_of_memory", message))

    def _shrink(self, slots: int) -> None:
        self.slots, self.shrunk = slots, True
        warnings.warn(f"out of memory: the batch size is now {slots}", stacklevel=4)
