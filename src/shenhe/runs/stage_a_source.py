"""The rows of Stage-A as the input of Stage-B: which groups need a verdict, and which have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalize_name
from shenhe.errors import RowError, RunError, UsageError, spelled
from shenhe.row_types import Failure, SummaryRow
from shenhe.rows.duplicates import DuplicateFinder, DuplicateRows
from shenhe.rows.fields import group_id_of, label_of, list_of, meta_of, mission_of
from shenhe.rows.keys import failures_file, key_of, mission_of_file, rows_file
from shenhe.rows.ledger import read_rows, rewrite
from shenhe.rows.readers import KeyedRow, read_each, read_failures, read_keyed
from shenhe.rows.row_index import RowIndex
from shenhe.rows.torn import count_torn_bytes
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.row_parts import group_failure
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.work import Backlog, CurrentKeys, Record, Rejection, StaleRows
from shenhe.shards import list_rows_files
from shenhe.values import LEFT_OUT, REUSED_PHOTO, STAGE_A_INCOMPLETE, Group

UNSURE_BEFORE: Final = "not as sure as is asked, which an older version let stand"
USED_OTHERWISE: Final = "whose photos are used otherwise than before"
NO_ROW: Final = "row"
"""Code of the failure of a line that is no Stage-A row of its file's mission."""
_NO_MISSION: Final = "has no 'mission', and its file is not named after one"
_FINISH_STAGE_A: Final = "have the `shenhe summarize` that wrote it go on, then run this again"


@dataclass(frozen=True, slots=True)
class StageASource:
    """The Stage-A rows of one mission."""

    mission: Mission
    path: Path

    def read(self, keyed: KeyedRow[SummaryRow] | RowError) -> SummaryRow:
        """Check a whole row.

        Raises: RowError if it is no Stage-A row, or one of another mission.
        """
        if isinstance(keyed, RowError):
            raise keyed
        row = keyed.parse()
        if normalize_name(row.mission) not in _names_of(self.mission):
            problem = f"is of mission {row.mission}, and the file is of {self.mission.name}"
            if not keyed.json.get("mission"):
                problem = _NO_MISSION
            raise RowError(keyed.path, keyed.line, problem)
        return row


class Comparison(NamedTuple):
    """Number of groups of Stage-A, and keys of verdicts whose lines have changed since.

    `repeated` are the groups with several rows; `bad_lines` name no group, and are no groups.
    """

    groups: int
    stale: set[str]
    repeated: Mapping[str, DuplicateRows]
    bad_lines: int


class IncompleteGroup(NamedTuple):
    """A group without lines, why, and the items that failed."""

    group: Group
    codes: list[str]
    items: str


def find_stage_a(source: Path, missions: Missions) -> list[StageASource]:
    """Find Stage-A files: one file, or all rows files of a folder. One mission a file.

    A file's mission is the one after which it is named, or else that of its first row.
    Raises: RunError if there is none, or a file holds no row that can be judged; UsageError for a
    mission that is not known.

        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            print(source.mission.name, source.path)
    """
    paths = list_rows_files(source) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise RunError(f"{spelled('stage_a', source)}: no rows there; run `shenhe summarize` first")
    sources = []
    for path in paths:
        if mission := _find_mission(path, missions):
            sources.append(StageASource(mission, path))
        elif torn := count_torn_bytes(path):
            message = f"{path}: holds no whole row, and {torn} bytes of one: {_FINISH_STAGE_A}"
            raise RunError(message)
    return sources


def _find_mission(path: Path, missions: Missions) -> Mission | None:
    """Find the mission of a file; None if it holds nothing.

    Raises: RunError if it holds no row that can be judged; UsageError for an unknown mission.
    """
    name = normalize_name(mission_of_file(path))
    named = next((mission for mission in missions if name in _names_of(mission)), None)
    problem: RunError | UsageError | None = None
    for keyed in read_each(path, SummaryRow):
        try:
            mission = named or _mission_of(keyed, missions)
            StageASource(mission, path).read(keyed)
        except (RowError, UsageError) as error:
            problem = problem or error
        else:
            return mission
    if isinstance(problem, UsageError):
        raise problem
    if problem is not None:
        raise RunError(f"{path}: holds no row that can be judged: {problem}")
    failure = next(read_rows(failures_file(path)), None)
    return missions.get(str(failure.get("mission"))) if failure else None


def _mission_of(keyed: KeyedRow[SummaryRow] | RowError, missions: Missions) -> Mission:
    """Find the mission that a row names."""
    if isinstance(keyed, RowError):
        raise keyed
    if not keyed.json.get("mission"):
        raise RowError(keyed.path, keyed.line, _NO_MISSION)
    return missions.get(mission_of(keyed.json))


def _names_of(mission: Mission) -> set[str]:
    """Give the names that rows and their file may have for a mission."""
    return {normalize_name(name) for name in (mission.name, rows_file(Path(), mission.name).stem)}


def _failure_of(
    keyed: KeyedRow[SummaryRow] | RowError, error: RowError, mission: Mission
) -> Failure:
    """Make the failure of a line, of its group if it names one."""
    item = f"{error.path.name}:{error.number}"
    group = Group(item, mission.name, None, ())
    if not isinstance(keyed, RowError):
        row, name = keyed.json, mission_of_file(keyed.path)
        group = Group(group_id_of(row), mission_of(row, name), label_of(row), ())
    rejection = Rejection(NO_ROW, f"line {error.number} {error.problem}", 1)
    return group_failure(group, item, rejection)


class SummaryBacklog(Backlog[SummaryRow]):
    """The groups of a Stage-A source that need a verdict."""

    def __init__(
        self,
        source: StageASource,
        policy: VerdictPolicy,
        find_reuse: Callable[[SummaryRow], Sequence[object]] | None = None,
    ) -> None:
        """Take note of a torn end; `find_reuse` lists the reused photos that hold a group back."""
        super().__init__()
        self.source, self._policy, self._find_reuse = source, policy, find_reuse
        self.repeated: Mapping[str, DuplicateRows] = {}
        self._has_bad_rows, self._bad_lines = False, 0
        if count_torn_bytes(source.path):
            fault = f"{source.path}: ends in the middle of a row: {_FINISH_STAGE_A}"
            self.faults.append(fault)

    def find_stale(self, rows_path: Path, done: RowIndex) -> StaleRows:
        """Find the verdicts on other lines than Stage-A has, and those that miss a threshold."""
        comparison = _compare(self.source, done)
        self._bad_lines, self.repeated = comparison.bad_lines, comparison.repeated
        self.total = comparison.groups + comparison.bad_lines
        unsure = self._find_unsure(rows_path) - comparison.stale
        redone = Counter({UNSURE_BEFORE: len(unsure)} if unsure else {})
        stale = comparison.stale | unsure
        used_otherwise = self._find_used_otherwise(rows_path, done) - stale
        if used_otherwise:
            redone[USED_OTHERWISE] = len(used_otherwise)
        return StaleRows(stale | used_otherwise, redone)

    def pending(self, done: Container[str]) -> Iterator[SummaryRow]:
        """Yield the Stage-A rows whose key is not in `done`, one a group; see `bad_rows`."""
        repeated_keys: set[str] = set()
        for keyed in read_each(self.source.path, SummaryRow):
            if not isinstance(keyed, RowError) and (
                keyed.key in done or keyed.key in repeated_keys
            ):
                continue
            try:
                row = self.source.read(keyed)
            except RowError:
                self._has_bad_rows = True
                continue
            if row.key in self.repeated:
                repeated_keys.add(row.key)
            yield row

    def bad_rows(self, done: Container[str]) -> Iterator[Record]:
        """Yield the failures of lines that are no rows of the mission, once all groups are done.

        A group with another row that can be read has a verdict row, which tells them all.
        """
        if not self._has_bad_rows:
            return
        for failure in self._find_bad_rows():
            if failure.key not in done:
                yield Record(failure.key, failures=[failure])

    def drop_obsolete_failures(self, rows_path: Path) -> None:
        """Drop the failures of lines that are rows by now, or are gone."""
        path = failures_file(rows_path)
        if any(failure.code == NO_ROW for failure in read_failures(path)):
            bad_items = {failure.item for failure in self._find_bad_rows()}
            rewrite(path, lambda row: row.get("code") != NO_ROW or row.get("item") in bad_items)

    def _find_bad_rows(self) -> Iterator[Failure]:
        """Yield the failures of lines that are no rows of the mission, one a group."""
        told: set[str] = set()
        for keyed in read_each(self.source.path, SummaryRow):
            try:
                self.source.read(keyed)
            except RowError as error:
                failure = _failure_of(keyed, error, self.source.mission)
                if failure.key not in told:
                    yield failure
                    told.add(failure.key)

    def count_pending(self, done: CurrentKeys, limit: int | None) -> tuple[int, int]:
        """Count the groups without a current verdict, incomplete ones included."""
        pending = self.total - self._bad_lines - len(done)
        count = pending if limit is None else min(pending, limit)
        return count, count

    def incomplete_groups(self, done: RowIndex) -> Iterator[IncompleteGroup]:
        """Yield the groups that Stage-A could not complete and that have no verdict row."""
        failed: dict[str, tuple[Group, list[str], list[str]]] = {}
        for failure in read_failures(failures_file(self.source.path)):
            if failure.key in done or not isinstance(failure, Failure):
                continue
            group = Group(failure.group_id, failure.mission, failure.label, ())
            _, codes, items = failed.setdefault(group.key, (group, [STAGE_A_INCOMPLETE], []))
            if failure.code == LEFT_OUT:
                codes.append(LEFT_OUT)
                items.append(failure.message)
            else:
                items.append(f"{Path(failure.item).name} ({failure.code})")
        for group, codes, items in failed.values():
            yield IncompleteGroup(group, codes, ", ".join(items))

    def _find_unsure(self, rows_path: Path) -> set[str]:
        """Find the verdicts that miss a threshold; without thresholds rows are not read."""
        if not self._policy.decisive_options:
            return set()
        return {key_of(row) for row in read_rows(rows_path) if not self._policy.accepts(row)}

    def _find_used_otherwise(self, rows_path: Path, done: RowIndex) -> set[str]:
        """Find the verdicts held back for a photo that is reused no more, or the other way round.

        Another group, or another run, may have come or gone since.
        """
        if self._find_reuse is None or not len(done):
            return set()
        held = {
            key_of(row)
            for row in read_rows(rows_path)
            if REUSED_PHOTO in list_of(meta_of(row), "why")
        }
        changed = set()
        for keyed in read_each(self.source.path, SummaryRow):
            if isinstance(keyed, RowError) or keyed.key not in done or keyed.key in self.repeated:
                continue
            with suppress(RowError):
                if bool(self._find_reuse(self.source.read(keyed))) != (keyed.key in held):
                    changed.add(keyed.key)
        return changed


def _compare(source: StageASource, done: RowIndex) -> Comparison:
    """Compare the lines of each group with those that its verdict was made from."""
    without_lines = {row.key for row in read_keyed(failures_file(source.path), Failure)}
    groups = judged = bad_lines = 0
    stale: set[str] = set()
    repeats = DuplicateFinder()
    for row in read_each(source.path, SummaryRow):
        if isinstance(row, RowError):
            bad_lines += 1
            continue
        repeats.add(row.key)
        without_lines.discard(row.key)
        groups += 1
        if row.key in done:
            judged += 1
            if done.inputs_hash(row.key) != hash_inputs(row.json):
                stale.add(row.key)
    repeated = repeats.find(lambda: read_each(source.path, SummaryRow))
    for key, rows in repeated.items():  # counted row by row so far
        groups -= rows.count - 1
        if key in done:
            judged -= rows.count - 1
            stale.discard(key)
            if done.inputs_hash(key) != rows.inputs_hash:
                stale.add(key)
    for key in without_lines:
        if key in done:
            judged += 1
            if done.inputs_hash(key) is not None:
                stale.add(key)
    if judged < len(done):
        stale.update(_keys_without_group(source, done, without_lines))
    return Comparison(groups + len(without_lines), stale, repeated, bad_lines)


def _keys_without_group(
    source: StageASource, done: RowIndex, without_lines: set[str]
) -> Iterator[str]:
    """Yield the keys of verdicts on groups that Stage-A no longer has."""
    key = partial(key_of, mission=mission_of_file(source.path))
    with closing(RowIndex(source.path, key, temporary=True, skip_bad=True)) as stage_a:
        for group_key in done.keys():  # noqa: SIM118
            if group_key not in stage_a and group_key not in without_lines:
                yield group_key
