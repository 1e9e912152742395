"""Another checkpoint for a service that runs: loaded beside the one it has, compared, taken over.

Whoever wants it writes an order into DIR; each process with a model carries it out for itself and
writes what became of it beside the order. Meanwhile both models are in memory.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import ValidationError

from shenhe.errors import RunError, ShenheError
from shenhe.files import whole_file
from shenhe.printable import on_one_line
from shenhe.row_types import Row, utc_now
from shenhe.service.comparing import Comparison, HeldJobs, compare, find_newest, read_held
from shenhe.service.jobs import Job
from shenhe.service.pipeline import Pipeline, ServedModel

log = logging.getLogger("shenhe.service")
LOOK_SECONDS: Final = 1.0
LINGER_SECONDS: Final = 5.0
"""How long the last model stays for who has just asked for it."""
RowType = TypeVar("RowType", bound=Row)
State = Literal["loading", "comparing", "taken_over", "refused"]


class CanaryOrder(Row):
    """Which checkpoint to take, and what it is held against.

    `held` is a file that names jobs; without one the newest `newest` decided ones count. `limit` is
    the largest share of groups that were 不通过 which may be 通过 now.
    """

    id: str
    model: str
    adapters: tuple[str, ...] = ()
    promise: str | None = None
    newest: int = 200
    held: str | None = None
    limit: float = 0.0


class CanaryOutcome(Row):
    """What became of an order in one process; `pairs` are verdicts before, after, and how often."""

    id: str
    worker: str
    state: State
    reason: str = ""
    checkpoint: str = ""
    done: int = 0
    total: int = 0
    pairs: tuple[tuple[str | None, str | None, int], ...] = ()
    newly_passed: tuple[str, ...] = ()
    timestamp: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in ("taken_over", "refused")


def order_canary(data_dir: Path, order: CanaryOrder) -> None:
    """Write an order for all processes of a service.

    Raises: RunError if it cannot be written.
    """
    _write(_folder(data_dir) / "order.json", order)


def new_order_id() -> str:
    """Make the id of an order."""
    return uuid.uuid4().hex


def read_outcomes(data_dir: Path, order_id: str) -> Iterator[CanaryOutcome]:
    """Read what became of an order so far, in each process that has taken it up."""
    for path in sorted(_folder(data_dir).glob(f"{order_id}.*.json")):
        outcome = _read(path, CanaryOutcome)
        if outcome is not None:
            yield outcome


class CanaryWatch:
    """Carries out the orders of a service in one process.

    watch = CanaryWatch(Path("data"), pipeline, store, last_number, load)
    watch.start()
    watch.stop()
    """

    def __init__(
        self,
        data_dir: Path,
        pipeline: Pipeline,
        jobs: HeldJobs,
        last_number: Callable[[], int],
        load: Callable[[CanaryOrder], ServedModel],
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        """Name the folder, the pipeline, the jobs with their last result, and how a model loads."""
        self._linger_seconds = linger_seconds
        self._data_dir, self._pipeline, self._jobs = data_dir, pipeline, jobs
        self._last_number, self._load = last_number, load
        self._worker = f"{platform.node()}-{os.getpid()}"
        earlier = self._read_order()
        self._done, self._told = earlier.id if earlier else "", 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def start(self) -> None:
        """Look for orders from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; an order under way ends with the process."""
        self._stopping.set()

    def carry_out(self, order: CanaryOrder) -> CanaryOutcome:
        """Load another checkpoint beside this one, compare, and take over or refuse."""
        model: ServedModel | None = None
        outcome = self._tell(CanaryOutcome(id=order.id, worker=self._worker, state="loading"))
        try:
            model = self._load(order)
            held = self._find_held(order)
            outcome = outcome.model_copy(
                update={
                    "state": "comparing",
                    "total": len(held),
                    "checkpoint": model.hub.fingerprint,
                }
            )
            self._tell(outcome)
            comparison = compare(model, held, partial(self._note, outcome))
            objection = comparison.find_objection(order.limit)
        except ShenheError as error:
            comparison, objection = Comparison(), str(error)
        if objection or model is None:
            if model is not None:
                model.hub.close()
            return self._tell(_ended(outcome, comparison, "refused", objection))
        self._take_over(model)
        return self._tell(_ended(outcome, comparison, "taken_over", ""))

    def _take_over(self, model: ServedModel) -> None:
        before = self._pipeline.take_over(model)
        # Whoever was given the last model a moment ago may still ask it.
        self._stopping.wait(self._linger_seconds)
        before.hub.close()

    def _find_held(self, order: CanaryOrder) -> list[Job]:
        if order.held is not None:
            return read_held(self._jobs, Path(order.held))
        checkpoint = self._pipeline.model.judge.fingerprint
        return find_newest(self._jobs, self._last_number(), order.newest, checkpoint)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            order = self._read_order()
            if order is None or order.id == self._done:
                continue
            self._done = order.id
            try:
                outcome = self.carry_out(order)
            except RunError as error:  # what became of it cannot be written
                log.warning("canary: %s", on_one_line(str(error)))
                continue
            if outcome.state == "refused":
                log.warning("%s is not taken over: %s", order.model, on_one_line(outcome.reason))
            else:
                log.warning("%s has taken over", order.model)

    def _read_order(self) -> CanaryOrder | None:
        return _read(_folder(self._data_dir) / "order.json", CanaryOrder)

    def _note(self, outcome: CanaryOutcome, done: int) -> None:
        """Tell how many groups are compared, once a second."""
        if time.monotonic() - self._told >= 1:
            self._tell(outcome.model_copy(update={"done": done}))

    def _tell(self, outcome: CanaryOutcome) -> CanaryOutcome:
        outcome, self._told = outcome.model_copy(update={"timestamp": utc_now()}), time.monotonic()
        _write(_folder(self._data_dir) / f"{outcome.id}.{self._worker}.json", outcome)
        return outcome


def _ended(
    outcome: CanaryOutcome, comparison: Comparison, state: State, reason: str
) -> CanaryOutcome:
    pairs = tuple((*pair, count) for pair, count in comparison.pairs.items())
    return outcome.model_copy(
        update={
            "state": state,
            "reason": reason,
            "done": comparison.total,
            "pairs": pairs,
            "newly_passed": tuple(comparison.newly_passed),
        }
    )


def _folder(data_dir: Path) -> Path:
    return data_dir / "service" / "canary"


def _write(path: Path, row: Row) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(row.to_json() + "\n", encoding="utf-8")


def _read(path: Path, kind: type[RowType]) -> RowType | None:
    """Read a row that another process has written; None if there is none."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
