"""Jobs of a run and the outcomes of their requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from shenhe.messages import Answer, Request

Value = TypeVar("Value")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Job(Generic[Item]):
    """An item and the requests that it takes; request keys are unique over all jobs."""

    item: Item
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Success(Generic[Value]):
    """An answer, and the value that was read from it."""

    value: Value
    answer: Answer

    @property
    def attempts(self) -> int:
        """Number of times the request was sent."""
        return self.answer.attempt + 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that failed, or whose answers were all refused by the reader.

    `answer` is the last answer, or None where the engine gave none.
    """

    code: str
    message: str
    attempts: int
    answer: Answer | None = None


Outcome: TypeAlias = Success[Value] | Rejection


@dataclass(frozen=True, slots=True)
class FinishedJob(Generic[Item, Value]):
    """A job whose requests all have an outcome, in the order of its requests.

    Units: `began_ns` in nanoseconds since the epoch, when the job was handed to the engine.
    """

    item: Item
    outcomes: tuple[Outcome[Value], ...]
    began_ns: int

    @property
    def attempts(self) -> int:
        """Number of times that its requests were sent, retries included."""
        return sum(outcome.attempts for outcome in self.outcomes)

    @property
    def new_tokens(self) -> int:
        """Number of tokens generated for the last answer of each request."""
        return sum(outcome.answer.new_tokens for outcome in self.outcomes if outcome.answer)

    @property
    def rejections(self) -> list[Rejection]:
        """The requests that failed."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, Rejection)]
