"""Many answers at once: a place that is free is filled at once, whatever the others still write."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from typing import Any

import psutil
import torch

from shenhe.engines.base import EngineSpec
from shenhe.engines.constraint import Grammars
from shenhe.engines.drafts import Drafts
from shenhe.engines.key_values import Head, KeyValues
from shenhe.engines.opening import Opened
from shenhe.engines.packed import pack
from shenhe.engines.patches import Patches
from shenhe.engines.sampling import Sampler
from shenhe.engines.writing import Reader, Writing
from shenhe.records import Answer, Failed

HEADS, SHORTEST_HEAD = 8, 16
"""So many beginnings of prompts are kept; a shorter one is not worth it. Units: tokens."""
STEP_TOKENS = 8192
"""Prompts go through the model together up to so many tokens."""
DRAFTING = 32
"""Guesses pay while no more answers than this are written at once: then a pass costs more by its
being one than by what is in it."""
MOST_PLACES = 64
"""So many answers at once where nobody says how many, and memory allows."""
MEMORY_SHARE = {"cuda": 0.8, "cpu": 0.25}
"""What of the free memory keys and values may take then."""
READY = 64
"""So many requests that need no place are passed on before the others write on."""
Asked = Opened | Answer | Failed | None
"""A request that is to be answered, one that needs no place any more, or: nothing now."""


class Batch:
    """The model, the store of its keys and values, and the answers under way."""

    def __init__(
        self,
        base: Any,
        spec: EngineSpec,
        reader: Reader,
        patches: Patches,
        grammars: Grammars | None,
        heads: deque[Head],
        drafts: Drafts,
        places: int | None,
    ) -> None:
        """Answer so many at once; None: as many as memory allows."""
        text = base.config.text_config
        self._base, self._spec, self._reader, self._grammars = base, spec, reader, grammars
        self.store = KeyValues(
            text.num_hidden_layers,
            text.num_key_value_heads,
            text.head_dim,
            base.dtype,
            base.device,
        )
        self.places = places or MOST_PLACES
        self._budget_bytes = None if places else _free_bytes(base.device)
        self.forward_passes, self.halved = 0, False
        self._heads, self._patches, self._drafts = heads, patches, drafts

    def write(self, source: Iterator[Asked]) -> Iterator[Answer | Failed]:
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
                if writing.finish:
                    yield self._reader.answer(writing)
            active = [writing for writing in active if not writing.finish]

    def begin(self, opened: Opened, row: int) -> Writing:
        """Give a request its row, and what of its prompt is known already."""
        grammar = opened.request.grammar
        constraint = None
        if self._grammars is not None and grammar is not None:
            constraint = self._grammars.constraint(grammar)
        prompt = opened.token_ids.tolist()
        # What the grammar forces from the start goes through the model together with the prompt.
        forced = constraint.forced() if constraint is not None else []
        forced = forced[: opened.request.max_new_tokens - 1]
        self.store.reserve(self._rows(row), len(prompt) + len(forced) + 1)
        known, head = self._known(opened, prompt)
        if head is not None:
            self.store.put(row, head, known)
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
        guessing = self._spec.speculate and len(active) <= DRAFTING
        for writing in active if guessing else ():
            if writing.sampler.greedy and not writing.begins:
                left = writing.opened.request.max_new_tokens - len(writing.written)
                writing.draft = self._drafts.guess(writing.written, left - 1)
        self.store.reserve(
            self._rows(max(writing.row for writing in active)),
            max(writing.past + len(writing.asked) for writing in active),
        )
        logits = self.forward(active)
        likeliest = logits.argmax(-1).tolist()
        at = 0
        for writing in active:
            fresh, known = writing.begins, len(writing.written)
            writing.seen(len(writing.pending))
            if fresh:
                self._remember(writing)
            if writing.opened.request.choices and fresh:
                writing.opening = logits[at].float().log_softmax(-1).cpu()
            answers = 1 + len(writing.draft)
            self._take(writing, logits[at : at + answers], likeliest[at : at + answers])
            self._drafts.learn(writing.written, known)
            at += answers

    def _take(self, writing: Writing, logits: torch.Tensor, likeliest: list[int]) -> None:
        """Choose a token, and go on as far as the model has seen what follows, guessed rightly.

        Shape: logits (1 + guesses, vocabulary).
        """
        draft, right = writing.draft, 0
        writing.draft = []
        while not writing.finish and not writing.pending:
            token = self._choose(writing, logits[right], likeliest[right])
            self._reader.take(writing, token)
            fresh = writing.pending
            same = 0
            while same < len(fresh) and fresh[same : same + 1] == draft[right : right + 1]:
                same, right = same + 1, right + 1
            writing.seen(same)

    def _choose(self, writing: Writing, logits: torch.Tensor, likeliest: int) -> int:
        """Choose a token: the likeliest one that is allowed, or one drawn of those."""
        constraint = writing.constraint
        if writing.sampler.greedy:
            # Nearly always what the model wants is allowed: only else is a mask worth its time.
            if constraint is None or constraint.allows(likeliest):
                return likeliest
            scores = logits.float()
        else:
            scores = logits
        if constraint is not None:
            refused = constraint.refused().to(logits.device)
            scores = scores.float().masked_fill(refused, -torch.inf)
        if not writing.sampler.greedy:
            scores = writing.sampler.drawn(scores)
        return int(scores.argmax())

    def forward(self, active: list[Writing]) -> torch.Tensor:
        """Run the model over what is asked.

        Shape: (places, vocabulary): of each answer the place behind what is pending, then those
        behind its guesses.
        """
        device = self._base.device
        packing = pack(self.store, [writing.piece for writing in active])
        ids = torch.tensor([token for writing in active for token in writing.asked])
        positions = torch.cat([writing.positions() for writing in active], dim=1)
        with torch.inference_mode():
            embedded = self._base.get_input_embeddings()(ids[None].to(device))
            embedded, seen = self._with_photos(active, embedded)
            hidden = self._base.model.language_model(
                inputs_embeds=embedded,
                position_ids=positions[:, None].to(device),
                use_cache=False,
                packing=packing,
                **seen,
            ).last_hidden_state[0]
            logits: torch.Tensor = self._base.lm_head(hidden[_wanted(active).to(device)])
        self.forward_passes += 1
        return logits

    def _with_photos(
        self, active: list[Writing], embedded: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Put photos in the places that prompts keep for them; give what else of them is seen."""
        seeing = [w.opened for w in active if w.begins and w.opened.patches is not None]
        if not seeing:
            return embedded, {}
        device = self._base.device
        grids = torch.cat([opened.grids for opened in seeing if opened.grids is not None])
        patches = torch.cat([opened.patches for opened in seeing if opened.patches is not None])
        features = self._base.model.get_image_features(
            self._patches.floats(patches.to(device)), grids.to(device), return_dict=True
        )
        places = torch.cat([self._places(writing) for writing in active])[None].to(device)
        values = torch.cat(list(features.pooler_output)).to(embedded.dtype)
        embedded = embedded.masked_scatter(places[..., None], values)
        deep = [torch.cat(list(parts)) for parts in features.deepstack_features]
        return embedded, {"visual_pos_masks": places, "deepstack_visual_embeds": deep}

    def _places(self, writing: Writing) -> torch.Tensor:
        """Tell which of the pending tokens are places of photos. Shape: (tokens,)."""
        found = torch.zeros(len(writing.asked), dtype=torch.bool)
        if writing.begins:
            left = writing.opened.token_ids[writing.past :]
            found[: len(left)] = left == self._base.config.image_token_id
        return found

    def _admit(
        self, active: list[Writing], waiting: deque[Opened], source: Iterator[Asked]
    ) -> tuple[list[Answer | Failed], bool]:
        """Fill the free places, as far as what goes through the model at once stays bounded.

        Gives what needs no place, and whether there may be more to come.
        """
        taken = {writing.row for writing in active}
        free = deque(row for row in range(self.places) if row not in taken)
        tokens = sum(len(writing.pending) for writing in active)
        ready: list[Answer | Failed] = []
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
            writing = self.begin(asked, free.popleft())
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

    def _known(self, opened: Opened, prompt: list[int]) -> tuple[int, Head | None]:
        """Find the kept head that a prompt has most tokens in common with, and how many."""
        longest, found = 0, None
        limit = self._head_length(opened)
        for head in self._heads:
            same = 0
            for ours, theirs in zip(prompt[:limit], head.tokens, strict=False):
                if ours != theirs:
                    break
                same += 1
            if same > longest:
                longest, found = same, head
        return (longest, found) if longest >= SHORTEST_HEAD else (0, None)

    def _remember(self, writing: Writing) -> None:
        """Keep the head of a prompt that has another beginning than all that are kept."""
        prompt = writing.opened.token_ids.tolist()
        length = self._head_length(writing.opened)
        known, _ = self._known(writing.opened, prompt)
        if length >= SHORTEST_HEAD and known < SHORTEST_HEAD:
            self._heads.append(self.store.head(writing.row, tuple(prompt[:length])))

    def _head_length(self, opened: Opened) -> int:
        """Count the tokens before the first photo; at least one token is always asked anew."""
        places = (opened.token_ids == self._base.config.image_token_id).nonzero()
        return int(places[0]) if len(places) else len(opened.token_ids) - 1

    def _make_room(
        self, many: int, waiting: deque[Opened], error: torch.OutOfMemoryError
    ) -> Failed | None:
        """Halve the places; a request that is too large alone is given up."""
        self.store.clear()
        self._heads.clear()
        torch.cuda.empty_cache()
        if many > 1:
            self.places, self.halved = -(-many // 2), True
            warnings.warn(f"out of memory: the batch size is now {self.places}", stacklevel=3)
            return None
        request = waiting.popleft().request
        message = f"one request alone is too large; lower --max-pixels: {error}"
        return Failed(request.key, "out_of_memory", message, request.attempt)


def _columns(opened: Opened) -> int:
    return len(opened.token_ids) + opened.request.max_new_tokens


def _free_bytes(device: torch.device) -> int:
    """Give what of a device's free memory may be taken."""
    share = MEMORY_SHARE.get(device.type, MEMORY_SHARE["cpu"])
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * share)
    return int(psutil.virtual_memory().available * share)


def _wanted(active: list[Writing]) -> torch.Tensor:
    """Find the tokens behind which something is to be chosen, in the order of all."""
    found: list[int] = []
    start = 0
    for writing in active:
        stop = start + len(writing.asked)
        found += range(stop - 1 - len(writing.draft), stop)
        start = stop
    return torch.tensor(found)
