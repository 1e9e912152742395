"""The rows of Stage-A as the input of Stage-B: which groups need a verdict, and which have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalize_name
from shenhe.errors import RunError
from shenhe.row_types import SummaryRow, describe_invalid
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import Json, read_rows
from shenhe.rows.repeats import Repeated, Repeats
from shenhe.rows.row_index import RowIndex
from shenhe.rows.torn import torn_bytes
from shenhe.rows.verdict_inputs import rests_on
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
    repeated: Mapping[str, Repeated]


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
        elif torn := torn_bytes(path):
            message = f"{path}: holds no whole row, and {torn} bytes of one: {_FINISH_STAGE_A}"
            raise RunError(message)
    return sources


class SummaryBacklog(Backlog[SummaryRow]):
    """The groups of a Stage-A source that need a verdict."""

    def __init__(self, source: StageASource, policy: VerdictPolicy) -> None:
        super().__init__()
        self.source, self._policy = source, policy
        self.repeated: Mapping[str, Repeated] = {}
        if torn_bytes(source.path):
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
        repeated_keys: set[str] = set()
        for row in read_rows(self.source.path):
            key = key_of(row)
            if key in done or key in repeated_keys:
                continue
            if key in self.repeated:
                repeated_keys.add(key)
            yield self._parse(row)

    def count_pending(self, done: CurrentKeys, limit: int | None) -> tuple[int, int]:
        """Count the groups without a current verdict, incomplete ones included."""
        pending = self.total - len(done)
        count = pending if limit is None else min(pending, limit)
        return count, count

    def incomplete_groups(self, done: RowIndex) -> Iterator[IncompleteGroup]:
        """Yield the groups that Stage-A could not complete and that have no verdict row."""
        failed: dict[str, tuple[Group, list[str], list[str]]] = {}
        for row in read_rows(failures_file(self.source.path)):
            if key_of(row) in done:
                continue
            group = Group(str(row["group_id"]), str(row["mission"]), row["label"], ())
            _, codes, items = failed.setdefault(group.key, (group, [STAGE_A_INCOMPLETE], []))
            if row.get("code") == LEFT_OUT:
                codes.append(LEFT_OUT)
                items.append(str(row.get("message")))
            else:
                items.append(f"{Path(str(row.get('item'))).name} ({row.get('code')})")
        for group, codes, items in failed.values():
            yield IncompleteGroup(group, codes, ", ".join(items))

    def _find_unsure(self, rows_path: Path) -> set[str]:
        """Find the verdicts that miss a threshold; without thresholds rows are not read."""
        if not self._policy.decisive_options:
            return set()
        return {key_of(row) for row in read_rows(rows_path) if not self._policy.accepts(row)}

    def _parse(self, row: Json) -> SummaryRow:
        path, mission = self.source.path, self.source.mission
        try:
            summary_row = SummaryRow.model_validate(row)
        except ValidationError as error:
            raise RunError(f"{path}: not a Stage-A row: {describe_invalid(error)}") from error
        if normalize_name(summary_row.mission) != normalize_name(mission.name):
            raise RunError(
                f"{path}: holds both {mission.name} and {summary_row.mission};"
                " give one file a mission"
            )
        return summary_row


def _compare(source: StageASource, done: RowIndex) -> Comparison:
    """Compare the lines of each group with those that its verdict was made from."""
    without_lines = {key for key, _ in _keyed_rows(failures_file(source.path))}
    groups = judged = 0
    stale: set[str] = set()
    repeats = Repeats()
    for key, row in _keyed_rows(source.path):
        repeats.note(key)
        without_lines.discard(key)
        groups += 1
        if key in done:
            judged += 1
            if done.inputs_hash(key) != rests_on(row):
                stale.add(key)
    repeated = repeats.find(source.path, key_of, rests_on)
    for key, rows in repeated.items():  # counted row by row so far
        groups -= len(rows.places) - 1
        if key in done:
            judged -= len(rows.places) - 1
            stale.discard(key)
            if done.inputs_hash(key) != rows.rests_on:
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


def _keyed_rows(path: Path) -> Iterator[tuple[str, Json]]:
    """Yield rows with their keys.

    Raises: RunError that names the file of a row that has none.
    """
    for row in read_rows(path):
        try:
            key = key_of(row)
        except RunError as error:
            raise RunError(f"{path}: not a Stage-A row: {error}") from error
        yield key, row
