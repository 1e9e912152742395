"""Jobs of the queue through the model: as many at once as keep it busy, each in a thread.

Whatever ends a job early, it is in the queue again: none is lost, and each ends once.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shenhe.errors import (
    DatabaseAwayError,
    EngineError,
    ItemError,
    RunError,
    ShenheError,
    item_wall,
)
from shenhe.service.chat.served import NamedModel
from shenhe.service.hub import ModelHub
from shenhe.service.hub_engine import HubEngine
from shenhe.service.job_queue import JobQueue
from shenhe.service.jobs import Job, JobResult
from shenhe.service.judging import GroupJudge
from shenhe.service.store import Claimed

log = logging.getLogger("shenhe.service")
DEPTH: Final = 2
"""Requests of jobs that are taken up, in batches of the model."""
MAX_JOBS: Final = 512
"""Jobs that one process works at once."""
POLL_SECONDS: Final = 0.1
"""How long an idle worker waits until it looks for jobs; whoever hands one in here wakes it."""
RENEW_SECONDS: Final = 2.0
"""How often a worker tells that it lives."""
MAX_DEATHS: Final = 5
"""How often a job is taken up over which the model dies."""
SUSPECT_DEATHS: Final = 2
"""After so many deaths a job is worked alone: the next one is told from those beside it."""


class ServedModel(NamedTuple):
    """A model, what makes rows of its answers, and what its checkpoint is called."""

    hub: ModelHub
    judge: GroupJudge
    named: NamedModel | None = None


@dataclass(slots=True, eq=False)
class _Work:
    """A job in hand."""

    claimed: Claimed
    model: ServedModel
    engine: HubEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = HubEngine(self.model.hub, self.claimed.job.new.lane)

    @property
    def photos(self) -> int:
        return len(self.claimed.job.new.photos)


class Pipeline:
    """Works the jobs of a queue with one model.

    pipeline = Pipeline(store, ServedModel(hub, judge), "machine-1")
    pipeline.start()
    pipeline.stop(seconds=30)
    """

    def __init__(
        self,
        jobs: JobQueue,
        model: ServedModel,
        worker: str,
        on_begin: Callable[[Job], object] = lambda job: None,
    ) -> None:
        """Name the queue, the model, and this worker; `on_begin` is called before each judging."""
        self._jobs, self._model, self._worker, self._on_begin = jobs, model, worker, on_begin
        self.on_end: list[Callable[[], None]] = []
        """Called when a job has ended, in the thread that worked it."""
        self._works: set[_Work] = set()
        self._active: set[_Work] = set()
        self._alone: _Work | None = None
        self._changed = threading.Condition()
        self._woken = self._stopping = False
        self._photos_a_job = 3.0
        self._unknown: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(MAX_JOBS, "job")
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)

    @property
    def model(self) -> ServedModel:
        """The model that works the next job."""
        return self._model

    @property
    def busy(self) -> int:
        """Number of jobs in hand."""
        return len(self._works)

    def start(self) -> None:
        """Take up jobs from now on."""
        self._thread.start()
        threading.Thread(target=self._renew, name="leases", daemon=True).start()

    def wake(self) -> None:
        """Look for jobs at once: one was handed in."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def take_over(self, model: ServedModel) -> ServedModel:
        """Work all further jobs with another model; return the last one when its jobs have ended.

        A job that is in hand ends with the model that it was begun with: a row names one.
        """
        with self._changed:
            before, self._model = self._model, model
            self._changed.wait_for(lambda: not any(work.model is before for work in self._works))
        return before

    def stop(self, seconds: float) -> None:
        """Take up no more jobs, end those in hand for so long, and put back the others."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        with self._changed:
            self._changed.wait_for(lambda: not self._works, seconds)
            left = list(self._works)
        for work in left:
            with suppress(RunError):
                self._jobs.release(work.claimed)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._stopping:
            took = False
            try:
                took = self._claim()
            except RunError as error:
                log.warning("the queue does not answer: %s", error)
                time.sleep(1)
            if not took:
                with self._changed:
                    self._changed.wait_for(lambda: self._woken or self._stopping, POLL_SECONDS)
                    self._woken = False

    def _renew(self) -> None:
        """Tell that this worker lives, until it has ended its last job."""
        while not self._stopping or self._works:
            try:
                self._jobs.renew(self._worker)
            except RunError as error:
                log.warning("the queue does not answer: %s", error)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping and not self._works, RENEW_SECONDS)

    def _claim(self) -> bool:
        """Take up as many jobs as keep the model busy; tell whether there were any."""
        room = self._room()
        if room <= 0:
            return False
        limit = min(math.ceil(room / self._photos_a_job), MAX_JOBS - self.busy)
        claimed = self._jobs.claim(self._worker, limit, self._unknown) if limit > 0 else []
        for each in claimed:
            work = _Work(each, self._model)
            if self._is_unknown(each):
                continue
            self._photos_a_job += (max(1, work.photos) - self._photos_a_job) / 32
            with self._changed:
                self._works.add(work)
            self._pool.submit(self._work, work)
        return bool(claimed)

    def _is_unknown(self, claimed: Claimed) -> bool:
        """Put back a job of a mission that is not configured here: it waits for who has it.

        It was when the group was handed in, and may be again; failed it would be judged never.
        """
        mission = claimed.job.new.mission
        if self._model.judge.knows(mission):
            return False
        if mission not in self._unknown:
            self._unknown.add(mission)
            log.warning("mission %r is not configured here: its groups wait", mission)
        self._jobs.release(claimed)
        return True

    def _room(self) -> int:
        """Count the requests that the model can be asked beside those of the jobs in hand."""
        hub = self._model.hub
        if hub.problem:
            return 0
        with self._changed:
            to_come = sum(work.photos for work in self._works if not work.engine.was_asked)
        return DEPTH * hub.batch_size - hub.load.total - to_come

    def _work(self, work: _Work) -> None:
        result: JobResult | str | None = None
        with ExitStack() as at_the_end:
            at_the_end.callback(self._let_go, work)
            # Whatever went wrong, the job is put back.
            at_the_end.callback(lambda: self._end(work, result))
            if self._begin(work):
                result = self._judge(work)

    def _let_go(self, work: _Work) -> None:
        with self._changed:
            self._works.discard(work)
            self._active.discard(work)
            self._alone = None if self._alone is work else self._alone
            self._woken = True
            self._changed.notify_all()
        for listener in self.on_end:
            listener()

    def _begin(self, work: _Work) -> bool:
        """Wait for a job that is worked alone; one over which the model died waits for all.

        Returns False while the model is away: what was not begun goes back, for others to take, and
        what the model would refuse is no death of this job.
        """
        with self._changed:
            is_free = self._wait(work, lambda: self._alone is None)
            if is_free and self._deaths[work.claimed.job.id] >= SUSPECT_DEATHS:
                # From now on no other one begins: else one would always be active.
                self._alone = work
                is_free = self._wait(work, lambda: not self._active)
            if is_free:
                self._active.add(work)
            return is_free

    def _wait(self, work: _Work, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False if the model is away."""
        hub = work.model.hub
        while not hub.problem and not self._changed.wait_for(condition, POLL_SECONDS):
            pass
        return not hub.problem

    def _judge(self, work: _Work) -> JobResult | str | None:
        """Make the result of a job, or say why there is none; None if it is to be done again."""
        job = work.claimed.job
        try:
            with item_wall("library_error", f"group {job.new.group_id}"):
                self._on_begin(job)
                return work.model.judge.judge(job, work.engine)
        except EngineError as error:
            self._deaths[job.id] += 1
            return str(error) if self._deaths[job.id] >= MAX_DEATHS else None
        except DatabaseAwayError as error:
            log.warning("the queue does not answer: %s", error)
            return None
        except ShenheError as error:
            return str(error)

    def _tell_end(self, claimed: Claimed, result: JobResult | str | None) -> None:
        if isinstance(result, JobResult):
            self._jobs.finish(claimed, result)
        elif result is None:
            self._jobs.release(claimed)
        else:
            log.warning("job %s failed: %s", claimed.job.id, result)
            self._jobs.fail(claimed, result)
        if result is not None:
            self._deaths.pop(claimed.job.id, None)

    def _end(self, work: _Work, result: JobResult | str | None) -> None:
        """Tell the queue how a job ended; as long as that does not answer, again and again."""
        pause = POLL_SECONDS
        while True:
            try:
                with item_wall("library_error", "the rows of the job"):
                    self._tell_end(work.claimed, result)
            except ItemError as error:
                if isinstance(result, str):
                    raise
                result = str(error)  # rows that cannot be stored: as a failed job it is told
            except RunError as error:
                log.warning("the end of a job cannot be stored yet: %s", error)
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopping, pause):
                        return
                pause = min(10.0, 2 * pause)
            else:
                return
