"""One answer while it is written: its tokens, its grammar, what ends it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from shenhe.engines.local.constraint import Constraint
from shenhe.engines.local.packed_attention import Piece
from shenhe.engines.local.preprocessing import Opened
from shenhe.engines.sampling import Sampler
from shenhe.errors import ItemError, item_wall
from shenhe.formats.closing import close_truncated
from shenhe.formats.repetition import is_repeating
from shenhe.messages import Answer, FinishReason, RequestFailed


@dataclass(slots=True)
class Writing:
    """An answer that is being written in a row of the store.

    `pending` are tokens that the model has not seen yet: the prompt at first, then what was written
    last and what the grammar forces behind it. `draft` are guesses at what comes behind those.
    """

    opened: Opened
    sampler: Sampler
    constraint: Constraint | None
    row: int
    past: int
    pending: list[int]
    written: list[int] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    opening: torch.Tensor | None = None
    finish: FinishReason | None = None
    failed: RequestFailed | None = None
    """What a library raised over this answer, which ends it, and no other."""

    @property
    def ended(self) -> bool:
        """Whether nothing is written any more."""
        return self.finish is not None or self.failed is not None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let what a library raises over this answer end this answer alone.

        Raises: OutOfMemoryError, which is the batch's: it goes on in fewer places.
        """
        request = self.opened.request
        try:
            with item_wall("library_error", "the answer", passing=(torch.OutOfMemoryError,)):
                yield
        except ItemError as error:
            self.failed = RequestFailed(request.key, error.code, str(error), request.attempt)

    @property
    def piece(self) -> Piece:
        """What goes through the model next."""
        return Piece(self.row, self.past, len(self.asked))

    @property
    def asked(self) -> list[int]:
        """The tokens that go through the model next."""
        return self.pending + self.draft

    @property
    def begins(self) -> bool:
        """Whether some of the prompt is pending."""
        return self.past < len(self.opened.token_ids)

    def positions(self) -> torch.Tensor:
        """Give the positions of what is asked. Shape: (3, tokens)."""
        stop, prompt = self.past + len(self.asked), len(self.opened.token_ids)
        written = torch.arange(max(self.past, prompt), stop).expand(3, -1) + self.opened.beyond
        if not self.begins:
            return written
        return torch.cat([self.opened.positions[:, self.past :], written], dim=1)

    def seen(self, count: int) -> None:
        """Note that the model has seen so many of the pending tokens."""
        self.past += count
        self.pending = self.pending[count:]


class Reader:
    """What of a tokenizer ends, repeats and reads an answer."""

    def __init__(self, tokenizer: Any, ends: Sequence[int]) -> None:
        self._tokenizer, self.ends = tokenizer, frozenset(ends)
        self._closing: dict[int, bool] = {}

    def take(self, writing: Writing, token: int) -> None:
        """Take a token that was chosen, and see whether it is the last."""
        limit = writing.opened.request.max_new_tokens
        if token in self.ends:
            writing.finish = "stop"
            return
        tokens = [token]
        if writing.constraint is not None:
            tokens += writing.constraint.advance(token)
        room = limit - len(writing.written)
        writing.pending = tokens[:room]
        writing.written += writing.pending
        if len(tokens) > room:
            writing.finish = "length"
        elif writing.constraint is not None and writing.constraint.complete:
            writing.finish = "stop"
        elif len(writing.written) >= limit:
            writing.finish = "length"
        elif self._may_repeat(tokens) and self._repeats(writing):
            writing.finish = "loop"

    def result(self, writing: Writing) -> Answer | RequestFailed:
        """Read what was written, or say why there is nothing to read."""
        answer = None
        if writing.failed is None:
            with writing.alone():
                answer = self._answer(writing)
        result = answer or writing.failed
        assert result is not None
        return result

    def _answer(self, writing: Writing) -> Answer:
        request, finish = writing.opened.request, writing.finish or "length"
        text = self.text(writing.written)
        if finish != "stop" and writing.constraint is not None and request.grammar is not None:
            text = close_truncated(text, request.grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason=finish,
            prompt_tokens=len(writing.opened.token_ids),
            new_tokens=len(writing.written),
            sizes=writing.opened.sizes,
            choice_logprobs=self._choices(writing),
            attempt=request.attempt,
        )

    def text(self, tokens: list[int]) -> str:
        """Decode tokens. Special ones are kept: some checkpoints write boxes with them."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=False)
        return text

    def _choices(self, writing: Writing) -> dict[str, float]:
        if writing.opening is None:
            return {}
        choices = writing.opened.request.choices
        firsts = [
            int(self._tokenizer(choice, add_special_tokens=False)["input_ids"][0])
            for choice in choices
        ]
        if len(set(firsts)) < len(firsts):  # the opening does not tell them apart
            return {}
        return {c: writing.opening[at].item() for c, at in zip(choices, firsts, strict=True)}

    def _may_repeat(self, tokens: list[int]) -> bool:
        """Whether something ends in these tokens that may have been written before."""
        for token in tokens:
            if token not in self._closing:
                self._closing[token] = bool(re.search("[}，]", self.text([token])))
            if self._closing[token]:
                return True
        return False

    def _repeats(self, writing: Writing) -> bool:
        grammar = writing.opened.request.grammar
        return grammar is not None and is_repeating(self.text(writing.written), grammar)
