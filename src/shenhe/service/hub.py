"""One model for all who ask: one long call of its engine, fed as requests come.

Requests of all clients join one continuous batch. An engine that dies fails the requests that it
had, and is started anew.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Final, NamedTuple

from shenhe.engines.base import ServingEngine
from shenhe.errors import EngineError, ShenheError, item_wall
from shenhe.messages import Answer, Piece, Request, RequestFailed, Served
from shenhe.service.jobs import Lane

log = logging.getLogger("shenhe.service")
IDLE_SECONDS: Final = 0.5
"""How long an engine without work waits until it is asked to look after itself."""
RESTART_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Pauses before an engine is started anew; the last one repeats."""
PUT_AWAY: Final = "the model is being put away: ask again"
Result = Answer | RequestFailed
Emit = Callable[[Piece], object]
"""Takes a piece of an answer, at once and in the thread of the model."""


class HubLoad(NamedTuple):
    """Numbers of requests that wait for the engine, and that the engine has."""

    waiting: int
    in_flight: int

    @property
    def total(self) -> int:
        """All requests without a result."""
        return self.waiting + self.in_flight


@dataclass(slots=True)
class _Asked:
    """A request that was handed in; `emit` takes the pieces of a streamed one."""

    request: Request
    emit: Emit | None = None
    future: Future[Result] = field(default_factory=Future)


class ModelHub:
    """A model that answers the requests of all threads of this process.

    hub = ModelHub(lambda: create_engine(spec), batch_size=32)
    answer = hub.submit(request).result()
    """

    def __init__(
        self,
        create: Callable[[], ServingEngine],
        batch_size: int,
        pauses: Sequence[float] = RESTART_SECONDS,
    ) -> None:
        """Load the model. `batch_size` is the number of requests that it takes at once.

        Units: `pauses` before it is started anew in seconds.
        Raises: what the engine raises when it is created.
        """
        self.batch_size, self._pauses = batch_size, pauses
        engine = create()
        self.fingerprint = engine.fingerprint
        self._create, self._engine = create, [engine]
        self._changed = threading.Condition()
        self._lanes: dict[Lane, deque[_Asked]] = {"interactive": deque(), "bulk": deque()}
        self._in_flight: dict[str, _Asked] = {}
        self._problem, self._failed_starts = "", 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str:
        """Why there is no model at the moment; empty if there is one."""
        return self._problem

    @property
    def load(self) -> HubLoad:
        """How much there is to do."""
        with self._changed:
            return HubLoad(sum(map(len, self._lanes.values())), len(self._in_flight))

    def submit(
        self, request: Request, lane: Lane = "interactive", emit: Emit | None = None
    ) -> Future[Result]:
        """Hand in a request; interactive ones are answered before bulk ones.

        The pieces of a streamed one go to `emit`, all before its future has its answer.

        Its key must be that of no other request that is under way: it seeds the sampling. The
        future fails with EngineError if the engine dies; one that is cancelled before the engine
        has it costs nothing.
        Raises: EngineError if there is no model, or the hub was closed.
        """
        return self._ask(request, lane, emit).future

    def stream(self, request: Request, lane: Lane = "interactive") -> Generator[Served, None, None]:
        """Hand in a request; yield the pieces of its answer, and at last the answer or failure.

        Closing the generator stops the model; so the key must be one that is never used again.
        Raises: EngineError if there is no model, or it dies.
        """
        pieces: SimpleQueue[Piece | None] = SimpleQueue()
        asked = self._ask(replace(request, streamed=True), lane, pieces.put)
        asked.future.add_done_callback(lambda _: pieces.put(None))
        return self._stream(asked, pieces)

    def _stream(
        self, asked: _Asked, pieces: SimpleQueue[Piece | None]
    ) -> Generator[Served, None, None]:
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            yield asked.future.result()
        finally:
            self.cancel(asked.request.key)

    def cancel(self, key: str) -> None:
        """Give up a request that nobody waits for; its key must be one that is never used again.

        One that waits costs nothing any more; one that is being answered is stopped, and fails by
        the code `cancelled`.
        """
        with self._changed:
            for lane in self._lanes.values():
                for asked in lane:
                    if asked.request.key == key:
                        asked.future.cancel()
            engines = list(self._engine) if key in self._in_flight else []
        for engine in engines:
            engine.cancel(key)

    def _ask(self, request: Request, lane: Lane, emit: Emit | None) -> _Asked:
        asked = _Asked(request, emit)
        with self._changed:
            if self._closing:
                raise EngineError(PUT_AWAY)
            if self._problem and self._failed_starts:
                raise EngineError(self._problem)
            self._lanes[lane].append(asked)
            self._changed.notify_all()
        return asked

    def close(self) -> None:
        """Answer what was handed in, and end the engine."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        """Keep an engine answering until the hub is closed and nothing waits."""
        try:
            while (problem := self._answer()) is not None:
                log.error("the model stopped: %s", problem)
                self._fail(problem, self._take_in_flight())
                self._end_engine()
                if not self._restart():
                    break
        finally:
            with self._changed:
                self._closing = True
            self._end_engine()
            self._fail(PUT_AWAY, [*self._take_in_flight(), *self._take_waiting()])

    def _answer(self) -> str | None:
        """Answer until the hub is closed, and return None, or until the engine fails, and why."""
        try:
            with (
                item_wall("engine", "the engine"),
                closing(self._engine[0].serve(self._source())) as results,
            ):
                for result in results:
                    self._resolve(result)
                    self._failed_starts = 0
        except ShenheError as error:
            return str(error)
        with self._changed:
            ended = self._closing and not self._in_flight
        return None if ended else "the engine ended while requests may come"

    def _source(self) -> Iterator[Request | None]:
        """Yield requests as they come; None while there are none, for an engine that has some."""
        while True:
            with self._changed:
                asked = self._next()
                if asked is None and not self._in_flight and not self._closing:
                    self._changed.wait(IDLE_SECONDS)
                    asked = self._next()
                if asked is None and self._closing:
                    return
            yield asked.request if asked else None

    def _next(self) -> _Asked | None:
        """Take the next request that nobody has cancelled and whose key is free."""
        for lane in self._lanes.values():
            while lane and lane[0].request.key not in self._in_flight:
                asked = lane.popleft()
                if asked.future.set_running_or_notify_cancel():
                    self._in_flight[asked.request.key] = asked
                    return asked
        return None

    def _resolve(self, result: Served) -> None:
        """Give a result, or a piece of it, to whoever asked.

        Raises: EngineError for a key that was not asked.
        """
        with self._changed:
            asked = self._in_flight.get(result.key)
            if asked is not None and not isinstance(result, Piece):
                del self._in_flight[result.key]
        if asked is None:
            raise EngineError(f"the engine answered {result.key!r}, which was not asked")
        if not isinstance(result, Piece):
            asked.future.set_result(result)
        elif asked.emit is not None:
            asked.emit(result)

    def _take_in_flight(self) -> list[_Asked]:
        with self._changed:
            taken = list(self._in_flight.values())
            self._in_flight.clear()
        return taken

    def _take_waiting(self) -> list[_Asked]:
        with self._changed:
            taken = [asked for lane in self._lanes.values() for asked in lane]
            for lane in self._lanes.values():
                lane.clear()
        return [asked for asked in taken if asked.future.set_running_or_notify_cancel()]

    def _fail(self, problem: str, taken: Iterable[_Asked]) -> None:
        self._problem = problem
        for asked in taken:
            asked.future.set_exception(EngineError(problem))

    def _restart(self) -> bool:
        """Start the engine anew, again and again; False if the hub is closed meanwhile."""
        while not self._pause():
            try:
                with item_wall("engine", "the engine"):
                    self._engine.append(self._create())
                    self._refuse_another_checkpoint(self._engine[0])
            except ShenheError as error:
                self._end_engine()
                self._failed_starts += 1
                log.error("the model does not start: %s", error)
                self._fail(str(error), self._take_waiting())
            else:
                log.warning("the model is there again")
                # One that dies again before it has answered anything is waited for longer.
                self._problem, self._failed_starts = "", self._failed_starts + 1
                return True
        return False

    def _pause(self) -> bool:
        """Wait before the next start, and tell whether the hub was closed."""
        seconds = self._pauses[min(self._failed_starts, len(self._pauses) - 1)]
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, seconds)

    def _refuse_another_checkpoint(self, engine: ServingEngine) -> None:
        if engine.fingerprint != self.fingerprint:
            raise EngineError("its checkpoint was replaced: start the service anew to use it")

    def _end_engine(self) -> None:
        """End the engine, and its processes if it has some; its memory is free before the next."""
        while self._engine:
            close = getattr(self._engine.pop(), "close", None)
            if close is not None:
                with suppress(ShenheError):
                    close()
