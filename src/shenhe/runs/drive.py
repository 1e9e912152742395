"""Jobs through an engine: answers matched by key, bad ones asked again, jobs finished whole."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from shenhe.engines.base import Engine
from shenhe.errors import EngineError, ItemError, item_wall
from shenhe.messages import Answer, Request, RequestFailed

MAX_ATTEMPTS = 3
HELD = 4096
"""Where order is asked for, so many may be done before one that is not: then no new ones begin."""

Value = TypeVar("Value")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Job(Generic[Item]):
    """An item and the requests that it takes; request keys are unique over all jobs."""

    item: Item
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Good(Generic[Value]):
    """A request whose answer could be read."""

    value: Value
    answer: Answer

    @property
    def attempts(self) -> int:
        """How often the request was asked."""
        return self.answer.attempt + 1


@dataclass(frozen=True, slots=True)
class Bad:
    """A request that failed; `answer` is the last text, where there was any."""

    code: str
    message: str
    attempts: int
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Finished(Generic[Item, Value]):
    """A job whose requests all have an outcome, in the order of its requests.

    Units: `began_ns` in nanoseconds of the clock, when it was first asked for.
    """

    item: Item
    outcomes: tuple[Good[Value] | Bad, ...]
    began_ns: int


@dataclass(slots=True)
class _Flight(Generic[Item, Value]):
    """A job under way."""

    job: Job[Item]
    number: int
    outcomes: dict[str, Good[Value] | Bad] = field(default_factory=dict)
    began_ns: int = field(default_factory=time.time_ns)


def drive(
    engine: Engine,
    jobs: Iterable[Job[Item]],
    read: Callable[[Answer], Value],
    max_attempts: int = MAX_ATTEMPTS,
    *,
    ordered: bool = False,
) -> Iterator[Finished[Item, Value]]:
    """Yield jobs as they finish, or in their own order where that is asked for.

    Held in memory are only the jobs that the engine works on, and up to HELD that wait for one
    before them. An answer that `read` refuses is asked again, up to `max_attempts` in all; what the
    engine itself could not do (an unreadable photo) is not.
    Raises: EngineError, also when the engine ends without having answered everything.
    """
    source = enumerate(jobs)
    held: dict[int, Finished[Item, Value]] = {}
    following, full = 0, False
    flying: dict[str, _Flight[Item, Value]] = {}
    asked: dict[str, Request] = {}
    again: deque[Request] = deque()

    def feed() -> Iterator[Request]:
        nonlocal full
        while True:
            while again:
                yield again.popleft()
            full = len(held) >= HELD
            found = None if full else next(source, None)
            if found is None:
                return
            number, job = found
            flight: _Flight[Item, Value] = _Flight(job, number)
            for request in job.requests:
                flying[request.key], asked[request.key] = flight, request
                yield request

    while True:
        for result in engine.answer(feed()):
            if result.key not in flying:
                raise EngineError(f"the engine answered {result.key!r}, which was not asked")
            outcome = _outcome(result, read)
            if _worth_asking_again(outcome) and outcome.attempts < max_attempts:
                again.append(replace(asked[result.key], attempt=outcome.attempts))
                continue
            flight = flying.pop(result.key)
            del asked[result.key]
            flight.outcomes[result.key] = outcome
            if len(flight.outcomes) == len(flight.job.requests):
                outcomes = (flight.outcomes[request.key] for request in flight.job.requests)
                held[flight.number] = Finished(flight.job.item, tuple(outcomes), flight.began_ns)
                if not ordered:
                    yield held.pop(flight.number)
                while following in held:
                    yield held.pop(following)
                    following += 1
        if not again and not full:
            break
    if flying:
        raise EngineError(f"the engine ended with {len(flying)} requests unanswered")


def _outcome(result: Answer | RequestFailed, read: Callable[[Answer], Value]) -> Good[Value] | Bad:
    if isinstance(result, RequestFailed):
        return Bad(result.code, result.message, result.attempt + 1)
    try:
        with item_wall("unreadable_answer", "the answer"):
            return Good(read(result), result)
    except ItemError as error:
        return Bad(error.code, str(error), result.attempt + 1, result)


def _worth_asking_again(outcome: Good[Value] | Bad) -> bool:
    return isinstance(outcome, Bad) and outcome.answer is not None
