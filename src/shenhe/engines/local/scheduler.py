"""Many answers at once: a place that is free is filled at once, whatever the others still write."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator

import psutil
import torch

from shenhe.engines.base import EngineSpec
from shenhe.engines.local.constraint import Grammars
from shenhe.engines.local.model_runner import ModelRunner, Scores
from shenhe.engines.local.ngram_drafts import Drafts
from shenhe.engines.local.prefix_cache import Heads
from shenhe.engines.local.preprocessing import Opened
from shenhe.engines.local.sequence import Reader, Writing
from shenhe.engines.options import LocalOptions
from shenhe.engines.sampling import Sampler
from shenhe.errors import ItemError, item_wall
from shenhe.messages import Answer, RequestFailed

STEP_TOKENS = 8192
"""Prompts go through the model together up to so many tokens."""
DRAFTING = {"cpu": 4, "cuda": 32}
"""Guesses pay while no more answers than this are written at once: then a pass costs more by its
being one than by what is in it. A CPU is soon at the other end, with a large vocabulary above all:
each guess takes a row of the head."""
MOST_PLACES = 64
"""So many answers at once where nobody says how many, and memory allows."""
MEMORY_SHARE = {"cuda": 0.8, "cpu": 0.25}
"""What of the free memory keys and values may take then."""
READY = 64
"""So many requests that need no place are passed on before the others write on."""
Asked = Opened | Answer | RequestFailed | None
"""A request that is to be answered, one that needs no place any more, or: nothing now."""


class Batch:
    """The model, the store of its keys and values, and the answers under way."""

    def __init__(
        self,
        runner: ModelRunner,
        spec: EngineSpec[LocalOptions],
        reader: Reader,
        *,
        grammars: Grammars | None,
        heads: Heads,
        drafts: Drafts,
        places: int | None,
    ) -> None:
        """Answer so many at once; None: as many as memory allows."""
        self._runner, self._spec, self._reader, self._grammars = runner, spec, reader, grammars
        self._heads, self._drafts = heads, drafts
        self.store = runner.store()
        self.places, self.halved = places or MOST_PLACES, False
        self._budget_bytes = None if places else _free_bytes(runner.device)

    def write(self, source: Iterator[Asked]) -> Iterator[Answer | RequestFailed]:
        """Yield answers as they end, and what needs none as it comes.

        Raises: what torch and transformers raise, but for memory that runs out: then what is under
        way begins anew, in half as many places.
        """
        waiting: deque[Opened] = deque()
        active: list[Writing] = []
        while True:
            ready, more = self._admit(active, waiting, source)
            yield from ready
            if not active:
                if more:
                    continue
                return
            try:
                self.step(active)
            except torch.OutOfMemoryError as error:
                waiting.extendleft(reversed([writing.opened for writing in active]))
                many, active = len(active), []
                if failed := self._make_room(many, waiting, error):
                    yield failed
                continue
            for writing in active:
                if writing.ended:
                    yield self._reader.result(writing)
            active = [writing for writing in active if not writing.ended]

    def begin(self, opened: Opened, row: int) -> Writing:
        """Give a request its row, and what of its prompt is known already.

        Raises: ItemError where its grammar cannot be begun.
        """
        grammar = opened.request.grammar
        constraint, forced = None, list[int]()
        if self._grammars is not None and grammar is not None:
            with item_wall("library_error", f"the grammar of a {grammar.kind}"):
                constraint = self._grammars.constraint(grammar)
                # What it forces from the start goes through the model together with the prompt.
                forced = constraint.forced()[: opened.request.max_new_tokens - 1]
        prompt = opened.token_ids.tolist()
        self.store.reserve(self._rows(row), len(prompt) + len(forced) + 1)
        known = self._heads.begin(self.store, row, prompt[: self._head_length(opened)])
        return Writing(
            opened,
            Sampler(opened.request, self._spec),
            constraint,
            row,
            past=known,
            pending=[*prompt[known:], *forced],
            written=forced,
        )

    def step(self, active: list[Writing]) -> None:
        """Put what is pending through the model and choose the next tokens of each answer."""
        most = DRAFTING.get(self._runner.device.type, DRAFTING["cpu"])
        guessing = self._spec.engine.speculate and len(active) <= most
        for writing in active if guessing else ():
            if writing.sampler.greedy and not writing.begins:
                left = writing.opened.request.max_new_tokens - len(writing.written)
                writing.draft = self._drafts.guess(writing.written, left - 1)
        self.store.reserve(
            self._rows(max(writing.row for writing in active)),
            max(writing.past + len(writing.asked) for writing in active),
        )
        hidden = self._runner.forward(active, self.store)
        scores = self._runner.scores(hidden, [few for w in active for few in _few(w)])
        at = 0
        for writing in active:
            fresh, known = writing.begins, len(writing.written)
            writing.seen(len(writing.pending))
            if fresh:
                head = writing.opened.token_ids[: self._head_length(writing.opened)]
                self._heads.keep(self.store, writing.row, head.tolist())
            if writing.opened.request.choices and fresh:
                writing.opening = scores[at].values.float().log_softmax(-1).cpu()
            answers = 1 + len(writing.draft)
            with writing.alone():
                self._take(writing, scores[at : at + answers])
            if self._spec.engine.speculate:
                self._drafts.learn(writing.written, known)
            at += answers

    def _take(self, writing: Writing, scores: list[Scores]) -> None:
        """Choose a token, and go on as far as the model has seen what follows, guessed rightly."""
        draft, right = writing.draft, 0
        writing.draft = []
        while not writing.ended and not writing.pending:
            token = _choose(writing, scores[right])
            self._reader.take(writing, token)
            fresh = writing.pending
            same = 0
            while same < len(fresh) and fresh[same : same + 1] == draft[right : right + 1]:
                same, right = same + 1, right + 1
            writing.seen(same)

    def _admit(
        self, active: list[Writing], waiting: deque[Opened], source: Iterator[Asked]
    ) -> tuple[list[Answer | RequestFailed], bool]:
        """Fill the free places, as far as what goes through the model at once stays bounded.

        Gives what needs no place, and whether there may be more to come.
        """
        taken = {writing.row for writing in active}
        free = deque(row for row in range(self.places) if row not in taken)
        tokens = sum(len(writing.pending) for writing in active)
        ready: list[Answer | RequestFailed] = []
        more = True
        while free and len(ready) < READY and not (active and tokens > STEP_TOKENS):
            try:
                asked = waiting.popleft() if waiting else next(source)
            except StopIteration:
                more = False
                break
            if asked is None:
                break
            if not isinstance(asked, Opened):
                ready.append(asked)
                continue
            if active and not self._has_room(active, asked):
                waiting.appendleft(asked)
                break
            try:
                writing = self.begin(asked, free[0])
            except ItemError as error:
                ready.append(asked.failed(error))
                continue
            except torch.OutOfMemoryError:
                if not active:
                    raise
                waiting.appendleft(asked)
                self._fewer(len(active))
                break
            free.popleft()
            active.append(writing)
            tokens += len(writing.pending)
        active.sort(key=lambda writing: writing.row)
        return ready, more

    def _rows(self, row: int) -> int:
        """Count the rows to make room for: twice as many each time, as moving has its price."""
        return min(self.places, 1 << row.bit_length())

    def _has_room(self, active: list[Writing], opened: Opened) -> bool:
        """Whether one more answer fits into the memory, should all become as long as they may."""
        if self._budget_bytes is None:
            return True
        columns = max(_columns(one) for one in [opened, *(writing.opened for writing in active)])
        taken = (len(active) + 1) * columns * self.store.bytes_per_token
        return taken <= self._budget_bytes

    def _head_length(self, opened: Opened) -> int:
        """Count the tokens before the first photo; at least one token is always asked anew."""
        places = (opened.token_ids == self._runner.image_token).nonzero()
        return int(places[0]) if len(places) else len(opened.token_ids) - 1

    def _make_room(
        self, many: int, waiting: deque[Opened], error: torch.OutOfMemoryError
    ) -> RequestFailed | None:
        """Halve the places; a request that is too large alone is given up."""
        self.store.clear()
        self._heads.clear()
        torch.cuda.empty_cache()
        if many > 1:
            self._fewer(-(-many // 2))
            return None
        request = waiting.popleft().request
        message = f"one request alone is too large; lower --max-pixels: {error}"
        return RequestFailed(request.key, "out_of_memory", message, request.attempt)

    def _fewer(self, places: int) -> None:
        self.places, self.halved = places, True
        warnings.warn(f"out of memory: the batch size is now {places}", stacklevel=4)


def _few(writing: Writing) -> list[list[int] | None]:
    """Give, of each place that is asked about, the few tokens that may come there; None: many.

    Where the odds of all choices are asked for, or behind guesses, nothing is known yet.
    """
    asked = 1 + len(writing.draft)
    if (
        writing.constraint is None
        or asked > 1
        or (writing.opened.request.choices and writing.begins)
    ):
        return [None] * asked
    few = None
    with writing.alone():
        few = writing.constraint.few()
    return [few]


def _choose(writing: Writing, scores: Scores) -> int:
    """Choose a token: the likeliest one that is allowed, or one drawn of those."""
    values, constraint = scores.values, writing.constraint
    # Nearly always what the model wants is allowed: only else is a mask worth its time.
    right = scores.tokens or constraint is None or constraint.allows(scores.likeliest)
    if writing.sampler.greedy and right:
        return scores.likeliest
    if constraint is not None and scores.tokens is None:
        refused = constraint.refused().to(values.device)
        values = values.float().masked_fill(refused, -torch.inf)
    if not writing.sampler.greedy:
        values = writing.sampler.drawn(values)
    place = int(values.argmax())
    return place if scores.tokens is None else scores.tokens[place]


def _columns(opened: Opened) -> int:
    return len(opened.token_ids) + opened.request.max_new_tokens


def _free_bytes(device: torch.device) -> int:
    """Give what of a device's free memory may be taken."""
    share = MEMORY_SHARE.get(device.type, MEMORY_SHARE["cpu"])
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * share)
    return int(psutil.virtual_memory().available * share)
