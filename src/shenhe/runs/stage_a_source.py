"""The rows of Stage-A as the input of Stage-B: which groups need a verdict, and which have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalize_name
from shenhe.errors import RunError
from shenhe.row_types import Failure, SummaryRow
from shenhe.rows.duplicates import DuplicateFinder, DuplicateRows
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import read_rows
from shenhe.rows.readers import read_failures, read_keyed
from shenhe.rows.row_index import RowIndex
from shenhe.rows.torn import count_torn_bytes
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.work import Backlog, CurrentKeys, StaleRows
from shenhe.shards import list_rows_files
from shenhe.values import LEFT_OUT, STAGE_A_INCOMPLETE, Group

UNSURE_BEFORE: Final = "not as sure as is asked, which an older version let stand"
_FINISH_STAGE_A: Final = "have the `shenhe summarize` that wrote it go on, then run this again"


@dataclass(frozen=True, slots=True)
class StageASource:
    """The Stage-A rows of one mission."""

    mission: Mission
    path: Path


class Comparison(NamedTuple):
    """Number of groups of Stage-A, and keys of verdicts whose lines have changed since.

    `repeated` are the groups with several rows.
    """

    groups: int
    stale: set[str]
    repeated: Mapping[str, DuplicateRows]


class IncompleteGroup(NamedTuple):
    """A group without lines, why, and the items that failed."""

    group: Group
    codes: list[str]
    items: str


def find_stage_a(source: Path, missions: Missions) -> list[StageASource]:
    """Find Stage-A files: one file, or all rows files of a folder. One mission a file.

    Raises: RunError if there is none, or one is of no known mission; UsageError for a mission
    that is not known.

        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            print(source.mission.name, source.path)
    """
    paths = list_rows_files(source) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise RunError(f"--stage-a {source}: no rows there; run `shenhe summarize` first")
    sources = []
    for path in paths:
        first = next(read_rows(path), None) or next(read_rows(failures_file(path)), None)
        if first is not None:
            sources.append(StageASource(missions.get(str(first.get("mission"))), path))
        elif torn := count_torn_bytes(path):
            message = f"{path}: holds no whole row, and {torn} bytes of one: {_FINISH_STAGE_A}"
            raise RunError(message)
    return sources


class SummaryBacklog(Backlog[SummaryRow]):
    """The groups of a Stage-A source that need a verdict."""

    def __init__(self, source: StageASource, policy: VerdictPolicy) -> None:
        super().__init__()
        self.source, self._policy = source, policy
        self.repeated: Mapping[str, DuplicateRows] = {}
        if count_torn_bytes(source.path):
            fault = f"{source.path}: ends in the middle of a row: {_FINISH_STAGE_A}"
            self.faults.append(fault)

    def find_stale(self, rows_path: Path, done: RowIndex) -> StaleRows:
        """Find the verdicts on other lines than Stage-A has, and those that miss a threshold."""
        comparison = _compare(self.source, done)
        self.total, self.repeated = comparison.groups, comparison.repeated
        unsure = self._find_unsure(rows_path) - comparison.stale
        redone = Counter({UNSURE_BEFORE: len(unsure)} if unsure else {})
        return StaleRows(comparison.stale | unsure, redone)

    def pending(self, done: Container[str]) -> Iterator[SummaryRow]:
        """Yield the Stage-A rows whose key is not in `done`, one a group.

        Raises: RunError for a row that is no Stage-A row, or is of another mission.
        """
        path, mission = self.source.path, self.source.mission.name
        repeated_keys: set[str] = set()
        for keyed in read_keyed(path, SummaryRow):
            if keyed.key in done or keyed.key in repeated_keys:
                continue
            if keyed.key in self.repeated:
                repeated_keys.add(keyed.key)
            row = keyed.parse()
            if normalize_name(row.mission) != normalize_name(mission):
                raise RunError(
                    f"{path}: holds both {mission} and {row.mission}; give one file a mission"
                )
            yield row

    def count_pending(self, done: CurrentKeys, limit: int | None) -> tuple[int, int]:
        """Count the groups without a current verdict, incomplete ones included."""
        pending = self.total - len(done)
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


def _compare(source: StageASource, done: RowIndex) -> Comparison:
    """Compare the lines of each group with those that its verdict was made from."""
    without_lines = {row.key for row in read_keyed(failures_file(source.path), Failure)}
    groups = judged = 0
    stale: set[str] = set()
    repeats = DuplicateFinder()
    for row in read_keyed(source.path, SummaryRow):
        repeats.add(row.key)
        without_lines.discard(row.key)
        groups += 1
        if row.key in done:
            judged += 1
            if done.inputs_hash(row.key) != hash_inputs(row.json):
                stale.add(row.key)
    repeated = repeats.find(source.path, key_of, hash_inputs)
    for key, rows in repeated.items():  # counted row by row so far
        groups -= len(rows.rows) - 1
        if key in done:
            judged -= len(rows.rows) - 1
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
    return Comparison(groups + len(without_lines), stale, repeated)


def _keys_without_group(
    source: StageASource, done: RowIndex, without_lines: set[str]
) -> Iterator[str]:
    """Yield the keys of verdicts on groups that Stage-A no longer has."""
    with closing(RowIndex(source.path, key_of, temporary=True)) as stage_a:
        for key in done.keys():  # noqa: SIM118
            if key not in stage_a and key not in without_lines:
                yield key
