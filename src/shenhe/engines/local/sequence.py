"""One answer while it is generated: its tokens, its slot in the KV cache, its state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from shenhe.engines.local.constraint import Constraint
from shenhe.engines.local.packed_attention import Span
from shenhe.engines.local.preprocessing import PreparedPhoto, PreparedRequest
from shenhe.engines.local.repetition import RepetitionPenalty
from shenhe.engines.local.sampler import Sampler
from shenhe.engines.prompts import ChoiceTokens
from shenhe.errors import ItemError, item_wall
from shenhe.messages import FinishReason, RequestFailed


@dataclass(slots=True)
class Sequence:
    """A request that occupies a slot of the KV cache.

    `cached` counts the tokens in the cache. `pending` tokens are still to go through the model: the
    prompt at first (prefill), later the last chosen token and those that the grammar forces behind
    it (decode). `draft` is a speculation on what comes behind them. `output` is the answer so far.
    `choices` are the tokens by which the request's choices part, and `choice_logprobs` those of
    them, kept when the answer has come to where they do. `decoded` counts the tokens that have been
    passed on as text, but for `held`, which may be the beginning of a text that ends the answer.
    `scored` holds log-probabilities by place in the answer: of its token there, then of the best.
    `failure` is set when a library raised over this sequence alone.
    """

    prepared: PreparedRequest
    sampler: Sampler
    constraint: Constraint | None
    penalty: RepetitionPenalty | None
    slot: int
    cached: int
    pending: list[int]
    output: list[int] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    choices: ChoiceTokens | None = None
    choice_logprobs: dict[str, float] | None = None
    decoded: int = 0
    held: str = ""
    scored: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    finish: FinishReason | None = None
    failure: RequestFailed | None = None

    @property
    def ended(self) -> bool:
        """Whether generation is over."""
        return self.finish is not None or self.failure is not None

    @property
    def in_prefill(self) -> bool:
        """Whether tokens of the prompt are pending."""
        return self.cached < len(self.prepared.token_ids)

    @property
    def at_choice(self) -> bool:
        """Whether the next token is the one by which the choices part."""
        return (
            self.choices is not None
            and self.choice_logprobs is None
            and tuple(self.output) == self.choices.shared
        )

    def keep_choice_logprobs(self, logits: torch.Tensor) -> None:
        """Keep the log-probabilities of the choices. Shape: (vocabulary,)."""
        if self.choices is not None:
            logprobs = logits.float().log_softmax(-1).cpu()
            self.choice_logprobs = {
                choice: logprobs[token].item() for choice, token in self.choices.first.items()
            }

    @property
    def next_tokens(self) -> list[int]:
        """Tokens of the next forward pass."""
        return self.pending + self.draft

    @property
    def next_photos(self) -> list[PreparedPhoto]:
        """Photos of which the image tokens are among the next tokens."""
        return [photo for photo in self.prepared.photos if photo.start >= self.cached]

    @property
    def span(self) -> Span:
        """Place of the next tokens in the KV cache."""
        return Span(self.slot, self.cached, len(self.next_tokens))

    def positions(self) -> torch.Tensor:
        """Compute the position ids of the next tokens. Shape: (3, tokens)."""
        stop, prompt = self.cached + len(self.next_tokens), len(self.prepared.token_ids)
        output = torch.arange(max(self.cached, prompt), stop).expand(3, -1)
        output = output + self.prepared.position_offset
        if not self.in_prefill:
            return output
        return torch.cat([self.prepared.positions[:, self.cached :], output], dim=1)

    def advance(self, count: int) -> None:
        """Move this many pending tokens to the cached ones, after a forward pass."""
        self.cached += count
        self.pending = self.pending[count:]

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Let an exception of a library end this sequence, and no other.

        Raises: torch.OutOfMemoryError, which concerns the whole batch.
        """
        try:
            with item_wall("library_error", "the answer", passing=(torch.OutOfMemoryError,)):
                yield
        except ItemError as error:
            self.failure = RequestFailed.of(self.prepared.request, error)
