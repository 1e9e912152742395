"""A growing answer of the local engine: its slot in the KV cache, its positions, its drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from shenhe.engines.growing_answer import GrowingAnswer
from shenhe.engines.local.packed_attention import Span
from shenhe.engines.local.preprocessing import PreparedPhoto, PreparedRequest
from shenhe.engines.local.repetition import RepetitionPenalty
from shenhe.engines.local.sampler import Sampler


@dataclass(slots=True, kw_only=True)
class Sequence(GrowingAnswer):
    """A request that occupies a slot of the KV cache; see GrowingAnswer.

    `cached` counts the tokens in the cache. `draft` is a speculation on what comes behind the
    pending tokens.
    """

    whole_batch: ClassVar[tuple[type[Exception], ...]] = (torch.OutOfMemoryError,)

    prepared: PreparedRequest
    sampler: Sampler
    penalty: RepetitionPenalty | None
    slot: int
    draft: list[int] = field(default_factory=list)

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
