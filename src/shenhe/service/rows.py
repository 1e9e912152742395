"""The rows of a service: DIR/stage_a and DIR/stage_b, a copy that follows the results.

The database is the truth. Of all processes that may write rows, one does: it reads results in the
order in which they were committed, and notes how far it came. Killed at any point, its follower
writes the last results once more in the place of those that are there.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from shenhe.errors import OutputBusyError, RunError
from shenhe.files import whole_file
from shenhe.printable import on_one_line
from shenhe.rows.keys import rows_file
from shenhe.rows.ledger import OutputLock
from shenhe.rows.manifest import manifest_file
from shenhe.service.job_records import lines_of_job, verdict_of_job
from shenhe.service.job_table import Ended
from shenhe.service.jobs import Job
from shenhe.service.judging import GroupJudge, MissionWorks
from shenhe.service.rows_file import RowsFile

log = logging.getLogger("shenhe.service")
FOLLOW_SECONDS: Final = 0.5
"""Least time between two writings of rows."""
WRITE_SHARE: Final = 0.1
"""Largest share of the time that is spent on writing rows: new versions rewrite files."""
MANIFEST_SECONDS: Final = 30.0
"""How often the manifests of a service without work are written: a silent run may be dead."""
STAGES: Final = ("stage_a", "stage_b")
PAGE: Final = 200
MAX_PENDING: Final = 2000
"""Results that are written at once."""


class Results(Protocol):
    """What rows take of the `JobStore`."""

    def finished_after(self, number: int, limit: int) -> Sequence[Ended]:
        """List results in the order in which they were committed."""


class Mark(NamedTuple):
    """How far rows have followed: the number of the last result, and the id of its job.

    `missed` are the missions that were not configured, with the number behind which their results
    have no rows yet.
    """

    number: int = 0
    job_id: str = ""
    missed: Mapping[str, int] = MappingProxyType({})


class RowsFollower:
    """Writes the rows of a service while this process is the one that does.

    follower = RowsFollower(store, Path("data"), lambda: pipeline.model.judge)
    follower.start()
    follower.stop()
    """

    def __init__(self, results: Results, data_dir: Path, judge: Callable[[], GroupJudge]) -> None:
        """Name the results, the folder, and who knows the options that rows are made with."""
        self._results, self._data_dir, self._judge = results, data_dir, judge
        self._mark_path = data_dir / "service" / "rows.json"
        self._files: dict[Path, RowsFile] = {}
        self._changed = threading.Condition()
        self._is_stopping, self._told = False, 0.0
        self._thread = threading.Thread(target=self._run, name="rows", daemon=True)

    def start(self) -> None:
        """Follow from now on, as soon as no other process does."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is there, and follow no more."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                with OutputLock(self._mark_path):
                    self._follow()
            except OutputBusyError:
                self._wait(FOLLOW_SECONDS)
            except RunError as error:
                log.warning("rows cannot be written yet: %s", on_one_line(str(error)))
                self._wait(10 * FOLLOW_SECONDS)

    def _follow(self) -> None:
        """Write rows until the end.

        Raises: RunError if the queue does not answer, or a file cannot be written.
        """
        mark = self.read_mark()
        self._write_manifests()
        while True:
            is_last = self._is_stopping  # what was committed before is read once more
            began = time.monotonic()
            mark = self.write_after(mark)
            if is_last:
                break
            if time.monotonic() - self._told >= MANIFEST_SECONDS:
                self._write_manifests()
            self._wait(max(FOLLOW_SECONDS, (time.monotonic() - began) / WRITE_SHARE))
        self._write_manifests("ended")

    def _write_manifests(self, state: str = "running") -> None:
        """Tell in all manifests that there are that the service lives, or has ended."""
        judge = self._judge()
        for mission in judge.rules.missions:
            paths = [rows_file(self._data_dir / stage, mission.name) for stage in STAGES]
            if any(manifest_file(path).exists() for path in paths):
                for file in self._files_of(judge.works_of(mission.name)):
                    file.write([], state)
        self._told = time.monotonic()

    def write_after(self, mark: Mark) -> Mark:
        """Write the rows of all results behind a mark, and return the new mark.

        Raises: RunError if the queue does not answer, or a file cannot be written.
        """
        mark = self._write_missed(mark)
        while ended := self._read_after(mark):
            missed = {**self._write(ended), **mark.missed}
            mark = Mark(ended[-1].number, ended[-1].job.id, missed)
            self._write_mark(mark)
        return mark

    def _write_missed(self, mark: Mark) -> Mark:
        """Write what had no rows while its mission was not configured, and is by now."""
        for mission in filter(self._judge().knows, mark.missed):
            number = mark.missed[mission]
            while ended := self._read_after(Mark(number)):
                number = ended[-1].number
                self._write(
                    [
                        each
                        for each in ended
                        if each.job.new.mission == mission and each.number <= mark.number
                    ]
                )
                if number >= mark.number:
                    break
            missed = {name: number for name, number in mark.missed.items() if name != mission}
            mark = mark._replace(missed=missed)
            self._write_mark(mark)
        return mark

    def _read_after(self, mark: Mark) -> list[Ended]:
        ended: list[Ended] = []
        number = mark.number
        while len(ended) < MAX_PENDING and (page := self._results.finished_after(number, PAGE)):
            ended += page
            number = page[-1].number
        return ended

    def _write(self, ended: Sequence[Ended]) -> dict[str, int]:
        """Write the last result of each group: lines first, then verdicts.

        Returns the missions that are not configured, with the number before their first result.
        """
        missed: dict[str, int] = {}
        latest = {(end.job.new.mission, end.job.new.group_id): end.job for end in ended}
        by_mission: dict[str, list[Job]] = {}
        for job in latest.values():
            by_mission.setdefault(job.new.mission, []).append(job)
        for mission, jobs in by_mission.items():
            if not self._judge().knows(mission):  # it was when they were handed in
                log.warning("mission %r is not configured here: its rows wait", mission)
                first = next(end.number for end in ended if end.job.new.mission == mission)
                missed[mission] = first - 1
                continue
            works = self._judge().works_of(mission)
            lines, verdicts = self._files_of(works)
            lines.write([lines_of_job(job, works) for job in jobs])
            verdicts.write([verdict_of_job(job, works) for job in jobs])
        return missed

    def _files_of(self, works: MissionWorks) -> list[RowsFile]:
        """Give the files of both stages, with the options of now."""
        judge, files = self._judge(), []
        summaries, verdicts = works.summaries, works.verdicts
        for stage, options, guidance in (
            (STAGES[0], judge.options_of(summaries), summaries.guidance),
            (STAGES[1], judge.options_of(verdicts), verdicts.guidance),
        ):
            path = rows_file(self._data_dir / stage, works.mission.name)
            file = self._files.setdefault(path, RowsFile(path, options))
            file.options, file.guidance = options, guidance
            files.append(file)
        return files

    def read_mark(self) -> Mark:
        """Read how far rows have followed; from the start, if the results are others than then."""
        try:
            content = json.loads(self._mark_path.read_text(encoding="utf-8"))
            missed = {str(name): int(behind) for name, behind in content.get("missed", {}).items()}
            mark = Mark(int(content["number"]), str(content["job_id"]), missed)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Mark()
        there = self._results.finished_after(mark.number - 1, 1)
        is_same = bool(there) and (there[0].number, there[0].job.id) == mark[:2]
        return mark if is_same else Mark()

    def _write_mark(self, mark: Mark) -> None:
        with whole_file(self._mark_path) as temporary:
            content = json.dumps(
                {**mark._asdict(), "missed": dict(mark.missed)}, ensure_ascii=False
            )
            temporary.write_text(f"{content}\n", encoding="utf-8")

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, seconds)
