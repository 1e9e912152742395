"""One engine over several devices of this machine: a worker process on each, answers in one place.

Requests are handed out a few at a time, each to whoever has the fewest. A worker that dies is
started anew, and its requests go to others.
"""

from __future__ import annotations

import logging
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait

from shenhe.engines.base import IDLE_SECONDS, EngineSpec, ServingEngine
from shenhe.engines.cancelling import Cancellations, cancelled
from shenhe.engines.devices.blame import Suspects
from shenhe.engines.devices.device_worker import DeviceWorker
from shenhe.engines.devices.placement import find_devices, name_device, place_workers
from shenhe.engines.devices.protocol import (
    Ask,
    Cancel,
    CreateEngineHere,
    Failed,
    Ready,
    Result,
    Warned,
)
from shenhe.engines.options import DevicesOptions
from shenhe.engines.streaming import Streams
from shenhe.engines.workers import RequestQueue
from shenhe.errors import EngineError, spelled
from shenhe.messages import Piece, Request, Served

log = logging.getLogger("shenhe.devices")
DEPTH = 2
"""Requests with a worker, in batches: while it answers one, the photos of the next are opened."""


class DevicesEngine(ServingEngine):
    """Workers on devices of this machine, behind the surface of one engine.

    Example:
        spec = EngineSpec("demo", engine=DevicesOptions(devices=("0,1",)))
        answers = list(DevicesEngine(spec, create_engine_here).answer(requests))

    """

    def __init__(self, spec: EngineSpec[DevicesOptions], create: CreateEngineHere) -> None:
        """Load the model on every device at once.

        Raises: OptionError for a device that is not there; exceptions of the start of the worker's
        engine; EngineError for a worker that dies in it. All name the device.
        """
        self.spec, self.workers_died = spec, 0
        self.devices = find_devices(spec.engine.devices)
        batch = spec.max_batch_size or spec.engine.worker.usual_batch_size
        self._depth, self._call = DEPTH * batch, 0
        self._warned: set[str] = set()
        self._cancelled, self._streams = Cancellations(), Streams()
        self._workers = place_workers(self.devices, spec, create)
        self.close = weakref.finalize(self, _kill, self._workers)
        self.fingerprint = self._start_all()

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests on all devices; those of a dead worker go to others; see ServingEngine.

        Raises: EngineError when no worker is left, or one fails as every other would.
        """
        self._call, self._streams = self._call + 1, Streams()
        queue = RequestQueue(requests)
        suspects, paced = Suspects(queue), False
        with self._killed_by_ctrl_c():
            try:
                while True:
                    self._start_absent()
                    yield from self._dispatch(queue, suspects)
                    if queue.exhausted and not suspects and not self._are_working:
                        return
                    paced = paced or queue.paused
                    for worker in self._wait(seconds=IDLE_SECONDS if paced else None):
                        yield from self._receive(worker, suspects)
            finally:
                self._cancel()

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        self._cancelled.note(key)

    def _start_all(self) -> str:
        """Start all workers, wait until they are ready, and return their fingerprint.

        Raises: as `__init__`.
        """
        fingerprint = ""
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self._start_absent()
            while loading := [worker for worker in self._workers if not worker.ready]:
                for worker in self._wait(loading):
                    message = worker.receive()
                    if message is None:
                        problem = (
                            f"the worker died while it loaded the model: {worker.note_death()}"
                        )
                        raise EngineError(f"{spelled('devices', worker.device)}: {problem}")
                    if isinstance(message, Ready):
                        fingerprint = message.fingerprint
                    self._result(worker, message, at_start=True)
            on_error.pop_all()
        return fingerprint

    @property
    def _are_working(self) -> bool:
        return any(worker.requests for worker in self._workers)

    def _start_absent(self) -> None:
        """Start a worker on every device that has none and is not given up."""
        for worker in self._workers:
            if worker.process is None and not worker.given_up:
                worker.start()

    def _dispatch(self, queue: RequestQueue, suspects: Suspects) -> Iterator[Served]:
        """Hand out requests one by one, each to the ready worker that has the fewest.

        Yields the failures of those that were cancelled before.
        """
        self._stop_cancelled()
        while True:
            free = [
                worker
                for worker in self._workers
                if worker.ready and not worker.alone and len(worker.requests) < self._depth
            ]
            if not free:
                return
            worker = min(free, key=lambda worker: len(worker.requests))
            if suspects and not worker.requests:
                request, worker.alone = suspects.next_alone(), True
            elif requests := queue.take(1):
                (request,) = requests
            else:
                return
            if request.key in self._cancelled:
                self._cancelled.forget(request.key)
                yield from self._streams.end(cancelled(request))
                continue
            worker.requests[request.key] = request
            worker.send(Ask(self._call, request))

    def _stop_cancelled(self) -> None:
        """Tell workers of requests that nobody waits for."""
        if self._cancelled:
            for worker in self._workers:
                worker.stop(self._cancelled)

    def _wait(
        self, workers: list[DeviceWorker] | None = None, seconds: float | None = None
    ) -> list[DeviceWorker]:
        """Wait until a worker has something to say, or has died, or the time is over.

        Raises: EngineError if there is no worker.
        """
        live = {
            worker.process.connection: worker
            for worker in workers or self._workers
            if worker.process is not None
        }
        if not live:
            reasons = [f"{worker.device}: {worker.given_up}" for worker in self._workers]
            raise EngineError(f"no worker is left: {'; '.join(reasons)}")
        heard = wait([*live], seconds)
        return [worker for connection, worker in live.items() if connection in heard]

    def _receive(self, worker: DeviceWorker, suspects: Suspects) -> Iterator[Served]:
        """Take one message of a worker, or note its death.

        Raises: EngineError, where the worker failed as every other would.
        """
        message = worker.receive()
        if message is not None:
            result = self._result(worker, message)
            if isinstance(result, Piece):
                yield from self._streams.add(result)
            elif result is not None:
                suspects.note_answer(result.key)
                self._cancelled.forget(result.key)
                yield from self._streams.end(result)
            return
        requests = list(worker.requests.values())
        self._streams.restart(worker.requests)
        blamed = suspects.note_death(requests, self._note_death(worker))
        if blamed:
            worker.forgive()
        elif worker.given_up:
            log.warning("%s is given up: its worker dies again and again", worker.device)
        yield from blamed

    def _result(
        self, worker: DeviceWorker, message: object, *, at_start: bool = False
    ) -> Served | None:
        """Return the result or piece in a message; None for other messages and for abandoned calls.

        Raises: the error of the call that is under way, or of the start.
        """
        if isinstance(message, Ready):
            worker.ready = True
        elif isinstance(message, Warned) and message.text not in self._warned:
            self._warned.add(message.text)
            warnings.warn(message.text, stacklevel=3)
        elif isinstance(message, Failed) and (at_start or message.call == self._call):
            raise name_device(worker.device, message.error)
        elif isinstance(message, Result) and message.call == self._call:
            if not isinstance(message.result, Piece):
                worker.note_answer(message.result.key)
            return message.result
        return None

    def _note_death(self, worker: DeviceWorker) -> str:
        """Count a death, tell of it, and return how the worker died."""
        reason = worker.note_death()
        worker.forget()
        self.workers_died += 1
        log.warning("%s: the worker died (%s)", worker.device, reason)
        return f"the worker died: {reason}"

    def _cancel(self) -> None:
        """Drop everything that is under way."""
        for worker in self._workers:
            if worker.requests:
                worker.send(Cancel(self._call))
            worker.forget()

    @contextmanager
    def _killed_by_ctrl_c(self) -> Iterator[None]:
        """Kill all workers on Ctrl-C, which may have torn a message; the next call starts others.

        Raises: KeyboardInterrupt.
        """
        try:
            yield
        except KeyboardInterrupt:
            _kill(self._workers)
            raise


def _kill(workers: list[DeviceWorker]) -> None:
    for worker in workers:
        worker.kill()
