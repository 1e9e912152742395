"""Any engine over a Ray cluster: one in each worker; dead workers are replaced, requests kept.

Ray Data wants its data set beforehand. Here requests are a stream with feedback (a malformed answer
is asked for again): workers are Ray actors that get the stream batch by batch.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import ray
from ray.exceptions import RayError, RayTaskError

from shenhe.engines.base import IDLE_SECONDS, EngineSpec, ServingEngine, engine_spec
from shenhe.engines.budget import BudgetWarning, PhotoBudget, budget_of
from shenhe.engines.cancelling import Cancellations, cancelled
from shenhe.engines.options import EngineOptions, LocalOptions, RayOptions
from shenhe.engines.streaming import Streams
from shenhe.engines.workers import MAX_FAILED_STARTS, RequestQueue, start_engine
from shenhe.errors import (
    EngineError,
    ShenheError,
    Spelling,
    current_spelling,
    spelled,
)
from shenhe.messages import Piece, Request, Served

log = logging.getLogger("shenhe.ray")
FIRST_BATCH, MAX_BATCH = 8, 512
BATCH_SECONDS = 20.0
"""Requests in a batch for a worker: 8 at first, then as many as it answers in this time."""
QUEUED_BATCHES = 2
"""Batches per worker: one that it answers and one behind it, so that it never waits."""
POLL_SECONDS = 5.0

CreateEngine = Callable[[EngineSpec[EngineOptions]], ServingEngine]


class Worker:
    """An engine in a process of the cluster."""

    def ready(
        self, spec: EngineSpec[EngineOptions], create: CreateEngine, spelling: Spelling
    ) -> tuple[str, PhotoBudget | None]:
        """Load the model, and return its fingerprint, and its pixel budget if a server has it.

        Messages spell options as the driver does.

        Raises: exceptions of the engine's start.
        """
        self._engine = start_engine(spec, create, spelling)
        return self._engine.fingerprint, budget_of(self._engine)

    def answer(self, requests: list[Request]) -> Iterator[Served]:
        """Answer a batch of requests, in any order."""
        with closing(self._engine.serve(requests)) as results:
            yield from results

    def cancel(self, key: str) -> None:
        """Stop a request, as nobody waits for it."""
        self._engine.cancel(key)


@dataclass(slots=True, eq=False)
class _Batch:
    """Requests given to a worker, those without an answer yet, and its stream of results."""

    unanswered: dict[str, Request]
    results: ray.ObjectRefGenerator
    count: int
    start: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class _WorkerSlot:
    """One worker, or its replacement; `loading` is set until it is ready."""

    actor: ray.actor.ActorHandle
    loading: ray.ObjectRef | None
    batches: deque[_Batch] = field(default_factory=deque)
    batch_size: int = FIRST_BATCH


class RayEngine(ServingEngine):
    """Workers over a cluster, behind the surface of one engine."""

    def __init__(self, spec: EngineSpec[RayOptions], create: CreateEngine) -> None:
        """Join a cluster, or start one on this machine, and wait for the first worker.

        Raises: EngineError if there is no such cluster, or no worker survives its start; exceptions
        of the start of the workers' engine.
        """
        self.spec, self._create = spec, create
        self._worker_spec = engine_spec(spec, spec.engine.worker)
        address = spec.engine.ray_address
        if not ray.is_initialized():
            try:
                ray.init(
                    # Without an address Ray would look for the last cluster of this machine, also
                    # for one that is dead.
                    address or os.environ.get("RAY_ADDRESS") or "local",
                    log_to_driver=False,
                    logging_level="error",
                    include_dashboard=False if address is None else None,
                )
            except (ConnectionError, RayError, ValueError, RuntimeError) as error:
                raise EngineError(
                    f"{spelled('ray_address', str(address))}: no Ray cluster there: {error}"
                ) from error
        self._failed_starts = 0
        self._queue, self._streams = RequestQueue(), Streams()
        self._cancelled = Cancellations()
        count = spec.engine.ray_workers or _default_workers()
        self._slots = [self._start_worker() for _ in range(count)]
        self.fingerprint = ""
        self.budget: PhotoBudget | None = None
        self._wait_for_worker()
        self._warning = BudgetWarning(self.budget)

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests on all workers; those of a dead worker go to others; see ServingEngine.

        Raises: EngineError when no worker survives its start any more.
        """
        self._queue, self._streams = RequestQueue(self._warning.noting(requests)), Streams()
        paced = False
        try:
            while True:
                yield from self._dispatch()
                paced = paced or self._queue.paused
                working = {s.batches[0].results: s for s in self._slots if s.batches}
                if not working and self._queue.exhausted:
                    return
                loading = {s.loading: s for s in self._slots if s.loading is not None}
                if not (loading or working):
                    time.sleep(IDLE_SECONDS)
                    continue
                seconds = IDLE_SECONDS if paced else POLL_SECONDS
                ready, _ = ray.wait([*loading, *working], timeout=seconds)
                for reference in ready:
                    if reference in loading:
                        self._finish_start(loading[reference])
                    else:
                        yield from self._receive(working[reference])
        finally:
            self._cancel()

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        self._cancelled.note(key)
        for slot in self._slots:
            slot.actor.cancel.options(concurrency_group="control").remote(key)

    def close(self) -> None:
        """Stop the workers."""
        for slot in self._slots:
            ray.kill(slot.actor)

    def _start_worker(self) -> _WorkerSlot:
        """Request a worker, which starts when the cluster has room for it."""
        worker = self.spec.engine.worker
        on_cpu = isinstance(worker, LocalOptions) and worker.device == "cpu"
        gpus = 1 if ray.cluster_resources().get("GPU") and not on_cpu else 0
        # A whole CPU each would keep workers off nodes that declare few.
        options = {"num_gpus": gpus, "num_cpus": 0.5, "scheduling_strategy": "SPREAD"}
        kind = ray.remote(concurrency_groups={"control": 1})(Worker)
        actor = kind.options(**options, max_restarts=0).remote()
        return _WorkerSlot(
            actor, actor.ready.remote(self._worker_spec, self._create, current_spelling())
        )

    def _wait_for_worker(self) -> _WorkerSlot:
        """Wait until a worker is ready.

        Raises: as `_finish_start`.
        """
        while True:
            for slot in self._slots:
                if slot.loading is None:
                    return slot
            loading = {slot.loading: slot for slot in self._slots}
            ready, _ = ray.wait([*loading], timeout=POLL_SECONDS)
            for reference in ready:
                self._finish_start(loading[reference])

    def _finish_start(self, slot: _WorkerSlot) -> None:
        """Note that a worker is ready, or replace it if it died on the way.

        Raises: EngineError after too many deaths; exceptions of the engine's start.
        """
        try:
            fingerprint, budget = ray.get(slot.loading)
        except RayTaskError as error:
            raise _map_error(error) from error
        except RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise EngineError(
                    f"{MAX_FAILED_STARTS} workers in a row died before they were ready: {error}"
                ) from error
            self._replace(slot, error)
        else:
            self._failed_starts, slot.loading = 0, None
            self.fingerprint = self.fingerprint or fingerprint
            self.budget = self.budget or budget

    def _dispatch(self) -> Iterator[Served]:
        """Fill the queues of ready workers; yield the failures of cancelled requests."""
        for slot in self._slots:
            while slot.loading is None and len(slot.batches) < QUEUED_BATCHES:
                taken = self._queue.take(slot.batch_size)
                requests = [request for request in taken if request.key not in self._cancelled]
                for request in taken:
                    if request.key in self._cancelled:
                        self._cancelled.forget(request.key)
                        yield from self._streams.end(cancelled(request))
                if not requests:
                    return
                results = slot.actor.answer.options(num_returns="streaming").remote(requests)
                unanswered = {request.key: request for request in requests}
                slot.batches.append(_Batch(unanswered, results, len(requests)))

    def _receive(self, slot: _WorkerSlot) -> Iterator[Served]:
        """Take one result of a worker, or note the end of its batch or its death."""
        batch = slot.batches[0]
        try:
            result: Served = ray.get(next(batch.results))
        except StopIteration:
            self._end_batch(slot)
        except RayTaskError as error:
            raise _map_error(error) from error
        except RayError as error:  # the worker, its node, or results on that node are gone
            self._replace(slot, error)
        else:
            if isinstance(result, Piece):
                yield from self._streams.add(result)
                return
            del batch.unanswered[result.key]
            self._cancelled.forget(result.key)
            yield from self._streams.end(result)

    def _end_batch(self, slot: _WorkerSlot) -> None:
        """Drop an answered batch, and adapt the size of the next ones to the worker's speed."""
        batch = slot.batches.popleft()
        self._queue.requeue(batch.unanswered.values())
        rate = batch.count / max(time.monotonic() - batch.start, 1e-3)
        size = min(2 * slot.batch_size, MAX_BATCH, round(rate * BATCH_SECONDS))
        slot.batch_size = max(FIRST_BATCH, size)
        if slot.batches:
            slot.batches[0].start = time.monotonic()

    def _replace(self, slot: _WorkerSlot, error: RayError) -> None:
        """Start another worker for a dead one, and requeue its unanswered requests."""
        log.warning(
            "a worker died (%s); another takes its place", " ".join(str(error).split())[:120]
        )
        for batch in slot.batches:
            self._queue.requeue(batch.unanswered.values())
            self._streams.restart(batch.unanswered)
        started = self._start_worker()
        slot.actor, slot.loading, slot.batch_size = started.actor, started.loading, FIRST_BATCH
        slot.batches.clear()

    def _cancel(self) -> None:
        """Drop everything that is under way."""
        for slot in self._slots:
            for batch in slot.batches:
                ray.cancel(batch.results, force=False)
            slot.batches.clear()


def _default_workers() -> int:
    """Count one worker a GPU of the cluster; without GPUs, one a node."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    return gpus or sum(node["Alive"] for node in ray.nodes())


def _map_error(error: RayError) -> Exception:
    """Return the exception of the worker if it is one of ours, else an EngineError."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ShenheError):
        return cause
    return EngineError(f"a worker failed: {' '.join(str(error).split())[-400:]}")
