"""One answer while its tokens are chosen, by an engine that chooses them in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from shenhe.engines.local.constraint import Constraint
from shenhe.engines.prompts import ChoiceTokens
from shenhe.errors import ItemError, item_wall
from shenhe.messages import FinishReason, PhotoSize, Request, RequestFailed


class Prepared(Protocol):
    """A request as a model takes it; `digest` is equal for equal prompts about equal photos."""

    @property
    def request(self) -> Request:
        """The request."""

    @property
    def token_ids(self) -> Sized:
        """The tokens of the prompt."""

    @property
    def sizes(self) -> tuple[PhotoSize, ...]:
        """The sizes of its photos."""

    @property
    def digest(self) -> bytes:
        """A hash of all that decides the model's input."""


@dataclass(slots=True, kw_only=True)
class GrowingAnswer:
    """A request that is being answered.

    `cached` counts the tokens that the model has seen. `pending` tokens are still to go through it:
    the prompt at first (prefill), later the last chosen token and those that the grammar forces
    behind it (decode). `output` is the answer so far.
    `choices` are the tokens by which the request's choices part, and `choice_logprobs` those of
    them, kept when the answer has come to where they do. `decoded` counts the tokens that have been
    passed on as text, but for `held`, which may be the beginning of a text that ends the answer.
    `scored` holds log-probabilities by place in the answer: of its token there, then of the best.
    `failure` is set when a library raised over this answer alone.
    """

    whole_batch: ClassVar[tuple[type[Exception], ...]] = ()
    """Exceptions that concern more than the answer over which they are raised."""

    prepared: Prepared
    constraint: Constraint | None
    pending: list[int]
    cached: int = 0
    output: list[int] = field(default_factory=list)
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

    def advance(self, count: int) -> None:
        """Move this many pending tokens to the cached ones, after a forward pass."""
        self.cached += count
        self.pending = self.pending[count:]

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Let an exception of a library end this answer, and no other.

        Raises: those that concern the whole batch.
        """
        try:
            with item_wall("library_error", "the answer", passing=self.whole_batch):
                yield
        except ItemError as error:
            self.failure = RequestFailed.of(self.prepared.request, error)
