"""Another checkpoint against verdicts that stand: what would change, and whether that is borne."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pydantic_core import from_json

from shenhe.errors import RunError
from shenhe.locations import Remote
from shenhe.service.hub_engine import HubEngine
from shenhe.service.job_table import Ended
from shenhe.service.jobs import Job
from shenhe.service.pipeline import ServedModel
from shenhe.values import FAIL, PASS

AT_ONCE: Final = 16
"""Groups that are compared at once."""
PAGE: Final = 200
MAX_NAMED: Final = 50
"""Groups that are named of those that would pass now."""


class HeldJobs(Protocol):
    """What a comparison takes of the `JobStore`."""

    def get(self, job_id: str) -> Job | None:
        """Give a job."""

    def latest(self, mission: str, group_id: str) -> Job | None:
        """Give the last version of a group."""

    def finished_after(self, number: int, limit: int) -> Sequence[Ended]:
        """List results in the order in which they were committed."""


@dataclass(slots=True)
class Comparison:
    """Verdicts of two checkpoints on the same groups.

    `pairs` counts the verdicts before and after; None is undecided. `newly_passed` are the groups
    that were 不通过 and would be 通过.
    """

    pairs: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    newly_passed: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of groups that were compared."""
        return self.pairs.total()

    @property
    def changed(self) -> int:
        """Number of groups with another verdict."""
        return sum(count for (before, after), count in self.pairs.items() if before != after)

    @property
    def failed(self) -> int:
        """Number of groups that were 不通过."""
        return sum(count for (before, _), count in self.pairs.items() if before == FAIL)

    @property
    def passed_now(self) -> int:
        """Number of groups that were 不通过 and would be 通过."""
        return self.pairs[FAIL, PASS]

    def find_objection(self, limit: float) -> str:
        """Say why the other checkpoint is not to be taken; empty if it is.

        `limit` is the largest share of the 不通过 that may be 通过 now.

        >>> pairs = Counter({("不通过", "通过"): 1, ("不通过", "不通过"): 9})
        >>> Comparison(pairs).find_objection(0.2)
        ''
        """
        if not self.failed:
            return "none of the groups compared was 不通过: nobody knows which it would pass"
        if self.passed_now > limit * self.failed:
            share = self.passed_now / self.failed
            return (
                f"{self.passed_now} of {self.failed} groups that were 不通过 would be 通过:"
                f" {share:.1%}, more than {limit:.1%}"
            )
        return ""


def compare(
    model: ServedModel, jobs: Sequence[Job], note: Callable[[int], object] = lambda done: None
) -> Comparison:
    """Have a model judge jobs that have verdicts; `note` is told how many are done.

    Raises: EngineError if the model fails; UsageError for a mission that is not known any more.
    """
    comparison = Comparison()
    with ThreadPoolExecutor(AT_ONCE, "canary") as pool:

        def judge(job: Job) -> str | None:
            return model.judge.judge(job, HubEngine(model.hub, "bulk")).verdict.verdict

        for done, (job, after) in enumerate(zip(jobs, pool.map(judge, jobs), strict=True), 1):
            before = job.result.verdict.verdict if job.result else None
            comparison.pairs[before, after] += 1
            if (before, after) == (FAIL, PASS) and len(comparison.newly_passed) < MAX_NAMED:
                comparison.newly_passed.append(f"{job.new.mission}/{job.new.group_id}")
            note(done)
    return comparison


def find_newest(jobs: HeldJobs, last: int, count: int, checkpoint: str) -> list[Job]:
    """Find the newest decided jobs of a checkpoint; `last` is the number of the last result.

    Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be read.
    """
    held: list[Job] = []
    end = last
    while end > 0 and len(held) < count:
        begin = max(0, end - PAGE)
        page = [each.job for each in jobs.finished_after(begin, end - begin) if each.number <= end]
        held += [job for job in reversed(page) if _is_held(job, checkpoint)]
        end = begin
    return held[:count]


def read_held(jobs: HeldJobs, path: Path) -> list[Job]:
    """Read the jobs that a file names: an id a line, or a row with `mission` and `group_id`.

    Raises: RunError for a file that cannot be read, or a line that names no decided job.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: is no text: {error}") from error
    held = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            job = _find(jobs, line.strip())
            if job is None or not _is_held(job):
                raise RunError(f"{path}: line {number} names no decided job whose photos are there")
            held.append(job)
    return held


def _find(jobs: HeldJobs, line: str) -> Job | None:
    if not line.startswith("{"):
        return jobs.get(line)
    with suppress(ValueError):
        row = from_json(line)
        mission, group_id = row.get("mission"), row.get("group_id")
        if isinstance(mission, str) and isinstance(group_id, str):
            return jobs.latest(mission, group_id)
    return None


def _is_held(job: Job, checkpoint: str | None = None) -> bool:
    """Whether a job has a verdict, of a checkpoint, and its photos are there."""
    if job.result is None or job.result.verdict.status != "decided" or not job.is_current:
        return False
    made_by = job.result.verdict.meta.checkpoint
    photos = (photo.location for photo in job.new.photos)
    return checkpoint in (None, made_by) and all(
        isinstance(photo, Remote) or photo.exists() for photo in photos
    )
