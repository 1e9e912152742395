"""Jobs through an engine: answers matched by key, rejected ones retried, jobs finished whole."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol

from shenhe.errors import EngineError, ItemError, item_wall
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.runs.work import FinishedJob, Item, Job, Outcome, Rejection, Success, Value

MAX_ATTEMPTS = 3
MAX_REORDERED = 4096
"""Maximum number of finished jobs that wait for an earlier one; then no job starts."""


class Answering(Protocol):
    """What jobs take of an engine."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests as Engine does."""


@dataclass(slots=True)
class JobInFlight(Generic[Item, Value]):
    """A job that the engine works on."""

    job: Job[Item]
    number: int
    outcomes: dict[str, Outcome[Value]] = field(default_factory=dict)
    began_ns: int = field(default_factory=time.time_ns)

    def finish(self) -> FinishedJob[Item, Value]:
        """Put the outcomes into the order of the requests."""
        outcomes = tuple(self.outcomes[request.key] for request in self.job.requests)
        return FinishedJob(self.job.item, outcomes, self.began_ns)


class JobQueue(Generic[Item, Value]):
    """Jobs in their four states: waiting, in flight, to be retried, finished.

    Memory holds the jobs in flight, and in order mode up to MAX_REORDERED finished ones.
    """

    def __init__(
        self,
        jobs: Iterable[Job[Item]],
        read: Callable[[Answer], Value],
        max_attempts: int,
        *,
        ordered: bool,
    ) -> None:
        self._waiting = enumerate(jobs)
        self._read, self._max_attempts, self._ordered = read, max_attempts, ordered
        self._in_flight: dict[str, tuple[Request, JobInFlight[Item, Value]]] = {}
        self._retries: deque[Request] = deque()
        self._finished: dict[int, FinishedJob[Item, Value]] = {}
        self._next_number = 0
        self._blocked = False

    @property
    def requests_in_flight(self) -> int:
        """Number of requests without an outcome."""
        return len(self._in_flight)

    @property
    def is_drained(self) -> bool:
        """Whether the engine has seen every job and every retry."""
        return not self._retries and not self._blocked

    def requests(self) -> Iterator[Request]:
        """Yield retries first, then the requests of waiting jobs, until none may start."""
        while True:
            while self._retries:
                yield self._retries.popleft()
            self._blocked = len(self._finished) >= MAX_REORDERED
            numbered = None if self._blocked else next(self._waiting, None)
            if numbered is None:
                return
            number, job = numbered
            flight: JobInFlight[Item, Value] = JobInFlight(job, number)
            for request in job.requests:
                self._in_flight[request.key] = request, flight
                yield request

    def resolve(self, result: Answer | RequestFailed) -> None:
        """Queue a retry, or note the outcome of a request and finish its job with the last one.

        Raises: EngineError for a key that is not in flight.
        """
        if result.key not in self._in_flight:
            raise EngineError(f"the engine answered {result.key!r}, which was not asked")
        request, flight = self._in_flight[result.key]
        outcome = _outcome(result, self._read)
        if _is_retryable(outcome) and outcome.attempts < self._max_attempts:
            self._retries.append(replace(request, attempt=outcome.attempts))
            return
        del self._in_flight[result.key]
        flight.outcomes[result.key] = outcome
        if len(flight.outcomes) == len(flight.job.requests):
            self._finished[flight.number] = flight.finish()

    def release(self) -> Iterator[FinishedJob[Item, Value]]:
        """Yield finished jobs: all of them, or in order mode those that no earlier one precedes."""
        if not self._ordered:
            for number in tuple(self._finished):
                yield self._finished.pop(number)
        while self._next_number in self._finished:
            yield self._finished.pop(self._next_number)
            self._next_number += 1


def drive(
    engine: Answering,
    jobs: Iterable[Job[Item]],
    read: Callable[[Answer], Value],
    max_attempts: int = MAX_ATTEMPTS,
    *,
    ordered: bool = False,
) -> Iterator[FinishedJob[Item, Value]]:
    """Yield jobs as they finish, or in the order of `jobs` with `ordered`.

    An answer that `read` refuses is retried, up to `max_attempts` requests in all; a request that
    the engine itself failed (an unreadable photo) is not.
    Raises: EngineError, also when the engine ends with requests unanswered.
    """
    queue = JobQueue(jobs, read, max_attempts, ordered=ordered)
    while True:
        for result in engine.answer(queue.requests()):
            queue.resolve(result)
            yield from queue.release()
        if queue.is_drained:
            break
    if queue.requests_in_flight:
        raise EngineError(f"the engine ended with {queue.requests_in_flight} requests unanswered")


def _outcome(result: Answer | RequestFailed, read: Callable[[Answer], Value]) -> Outcome[Value]:
    if isinstance(result, RequestFailed):
        return Rejection(result.code, result.message, result.attempt + 1)
    try:
        with item_wall("unreadable_answer", "the answer"):
            return Success(read(result), result)
    except ItemError as error:
        return Rejection(error.code, str(error), result.attempt + 1, result)


def _is_retryable(outcome: Outcome[Value]) -> bool:
    return isinstance(outcome, Rejection) and outcome.answer is not None
