"""A job becomes rows: the lines of its photos, then its verdict, by the code of both stages."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from shenhe.config import Mission, Missions, Prompts, Teaching
from shenhe.errors import IntakeError
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.intake.fingerprints import fingerprint_listing
from shenhe.intake.folder import Contents, read_contents
from shenhe.intake.spelling import escape_name
from shenhe.locations import location_text
from shenhe.row_types import Failure, SummaryRow, VerdictRow
from shenhe.rows.keys import rows_file
from shenhe.rows.row_index import RowIndex
from shenhe.runs.deciding import FindsReuse, policy_of_mission
from shenhe.runs.drive import MAX_ATTEMPTS, Answering, drive
from shenhe.runs.incomplete import IncompleteGroup, gather_incomplete
from shenhe.runs.lines_backlog import LinesBacklog
from shenhe.runs.stage_a import SummaryWork
from shenhe.runs.stage_b import VerdictWork
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.work import Item, Job, MissionBacklog, Record, Value, Work
from shenhe.service.jobs import Job as ServiceJob
from shenhe.service.jobs import JobResult, names_of_photos
from shenhe.stages import summary, verdict
from shenhe.values import Group, LeftOut


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes rows beside the model: prompts, missions, formats and the policy of verdicts.

    `engine_options` are the options of the engine that decide rows, as manifests hold them.
    """

    missions: Missions
    prompts: Prompts
    teaching: Teaching
    policy: VerdictPolicy
    engine_options: Mapping[str, object] = field(default_factory=dict)
    formats: TextFormats = PLAIN
    max_attempts: int = MAX_ATTEMPTS


class MissionWorks(NamedTuple):
    """Both stages of one mission."""

    mission: Mission
    summaries: SummaryWork
    verdicts: VerdictWork


class GroupJudge:
    """Makes the rows of groups by one checkpoint.

    judge = GroupJudge(rules, hub.fingerprint, Path("data"))
    result = judge.judge(job, HubEngine(hub, "interactive"))
    """

    def __init__(
        self, rules: Rules, fingerprint: str, data_dir: Path, reuse: FindsReuse | None = None
    ) -> None:
        """Name the checkpoint, the folder of the service, and the photos of all its groups."""
        self.rules, self.fingerprint = rules, fingerprint
        self._data_dir, self._reuse = data_dir, reuse
        self._works: dict[str, MissionWorks] = {}

    def knows(self, mission: str) -> bool:
        """Whether a mission is configured."""
        return self.rules.missions.find(mission) is not None

    def works_of(self, name: str) -> MissionWorks:
        """Give both stages of a mission.

        Raises: UsageError for a mission that is not known.
        """
        mission = self.rules.missions.get(name)
        if mission.name not in self._works:
            self._works[mission.name] = self._make_works(mission)
        return self._works[mission.name]

    def judge(self, job: ServiceJob, engine: Answering) -> JobResult:
        """Make the rows of a job.

        Raises: UsageError for a mission that is not known; EngineError.
        """
        works = self.works_of(job.new.mission)
        summarized = self._record(works.summaries, group_of_job(job, works.mission), engine)
        row = summarized.row
        if isinstance(row, SummaryRow):
            judged = self._record(works.verdicts, row, engine)
        else:
            judged = works.verdicts.record_incomplete(_incomplete(summarized, job))
        assert isinstance(judged.row, VerdictRow)
        return JobResult(
            judged.row,
            row if isinstance(row, SummaryRow) else None,
            (*_failures(summarized), *_failures(judged)),
        )

    def options_of(self, work: SummaryWork | VerdictWork) -> dict[str, object]:
        """List the options that decide the rows of a stage, as manifests hold them."""
        options = {**self.rules.engine_options, **work.decisive_options()}
        return options | {"max_attempts": self.rules.max_attempts}

    def _record(self, work: Work[Item, Value], item: Item, engine: Answering) -> Record:
        """Ask for an item and make its record, as a run does."""
        (job,) = work.jobs(iter([item]))
        if not isinstance(job, Job):
            return job
        (finished,) = drive(engine, [job], work.read, self.rules.max_attempts)
        return work.record(finished)

    def _make_works(self, mission: Mission) -> MissionWorks:
        rules, checkpoint = self.rules, self.fingerprint
        prompts = rules.teaching.apply(rules.prompts, mission)
        policy = policy_of_mission(rules.policy, mission.name, mission.evidence, self._reuse)
        photos = PhotosHandedIn(mission, self._data_dir)
        lines = LinesOfJobs(mission, self._data_dir)
        limits = summary.MAX_NEW_TOKENS, verdict.MAX_NEW_TOKENS
        return MissionWorks(
            mission,
            SummaryWork(photos, prompts.summary, limits[0], checkpoint, rules.formats),
            VerdictWork(lines, prompts.verdict, policy, limits[1], checkpoint, rules.formats),
        )


def group_of_job(job: ServiceJob, mission: Mission) -> Group:
    """Look at the folder of a job's photos as a run does: what else lies there, sizes and times.

    A photo that came to the folder later was not looked at, and is left out.
    """
    photos = tuple(photo.location for photo in job.new.photos)
    group = Group(job.new.group_id, mission.name, job.new.label, photos)
    if job.new.empty is not None:
        empty = job.new.empty
        return replace(
            group, problem=empty.problem, code=empty.code, left_out=tuple(empty.left_out)
        )
    if not photos:
        return group
    try:
        contents = read_contents(photos[0].parent)
    except IntakeError as error:
        return replace(group, photos=(), problem=str(error))
    entries = {entry.name: entry for entry in contents.photos}
    own = [entries.pop(photo.name) for photo in photos if photo.name in entries]
    later = [LeftOut(escape_name(name), "unfinished") for name in entries]
    seen_now = Contents(own, [*contents.left_out, *later])
    return replace(group, left_out=tuple(seen_now.left_out), inputs=fingerprint_listing(seen_now))


class PhotosHandedIn(MissionBacklog[Group]):
    """The groups of one mission that clients hand in: a job at a time, never a list."""

    def __init__(self, mission: Mission, data_dir: Path) -> None:
        super().__init__()
        self.mission, self._folder = mission, photos_folder(data_dir)

    @property
    def decisive_options(self) -> dict[str, object]:
        """The folder of photos."""
        return {"data_root": location_text(self._folder.absolute())}

    def pending(self, done: Container[str]) -> Iterator[Group]:
        """Yield nothing: jobs come from the queue."""
        return iter(())


class LinesOfJobs(LinesBacklog):
    """The lines of one mission's groups, as they are made."""

    def __init__(self, mission: Mission, data_dir: Path) -> None:
        super().__init__()
        self.mission, self._path = mission, rows_file(data_dir / "stage_a", mission.name)

    @property
    def decisive_options(self) -> dict[str, object]:
        """The file that the lines are written to."""
        return {"stage_a": location_text(self._path.absolute())}

    def pending(self, done: Container[str]) -> Iterator[SummaryRow]:
        """Yield nothing: jobs come from the queue."""
        return iter(())

    def incomplete_groups(self, done: RowIndex) -> Iterator[IncompleteGroup]:
        """Yield nothing: the verdict of such a group is made with its job."""
        return iter(())

    def bad_rows(self, done: Container[str]) -> Iterator[Record]:
        """Yield nothing: lines are not read from a file."""
        return iter(())


def photos_folder(data_dir: Path) -> Path:
    """Name the folder that holds the photos which clients hand in."""
    return data_dir / "photos"


def _incomplete(record: Record, job: ServiceJob) -> IncompleteGroup:
    """Gather why a group has no lines; its photos are called as their client calls them."""
    names = names_of_photos(job.new)
    (incomplete,) = gather_incomplete(
        failure.model_copy(update={"item": names.get(failure.item, failure.item)})
        for failure in _failures(record)
    )
    return incomplete


def _failures(record: Record) -> list[Failure]:
    return [failure for failure in record.failures if isinstance(failure, Failure)]
