"""The rows of Stage-A as the input of Stage-B: which groups need a verdict, and which have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.errors import RowError
from shenhe.intake.choice import Chosen, GroupChoice
from shenhe.intake.tree import GroupId, take_turns
from shenhe.locations import location_text
from shenhe.row_types import Failure, SummaryRow
from shenhe.rows.duplicates import DuplicateFinder, DuplicateRows
from shenhe.rows.fields import group_of
from shenhe.rows.keys import failures_file, key_of, mission_of_file
from shenhe.rows.ledger import read_rows, rewrite
from shenhe.rows.readers import read_each, read_failures, read_keyed
from shenhe.rows.row_index import RowIndex
from shenhe.rows.torn import count_torn_bytes
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.choosing import EXCLUDED
from shenhe.runs.incomplete import IncompleteGroup, gather_incomplete
from shenhe.runs.lines_backlog import LinesBacklog
from shenhe.runs.photo_changes import ALL_LABELS
from shenhe.runs.reuse_changes import USED_OTHERWISE, FindReuse, find_used_otherwise
from shenhe.runs.row_parts import NO_ROW, bad_row_failure
from shenhe.runs.stage_a_source import FINISH_STAGE_A, StageASource
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.work import CurrentKeys, Record, StaleRows
from shenhe.values import Label, group_key

UNSURE_BEFORE: Final = "not as sure as is asked, which an older version let stand"


class Comparison(NamedTuple):
    """Number of groups of Stage-A, and keys of verdicts whose lines have changed since.

    `repeated` are the groups with several rows; `bad_lines` name no group, and
    are no groups; `without_lines` are the groups that Stage-A failed at.
    """

    groups: int
    stale: set[str]
    repeated: Mapping[str, DuplicateRows]
    bad_lines: int
    without_lines: set[str]


class SummaryBacklog(LinesBacklog):
    """The groups of a Stage-A source that need a verdict."""

    def __init__(
        self,
        source: StageASource,
        policy: VerdictPolicy,
        choice: GroupChoice | None = None,
        find_reuse: FindReuse | None = None,
    ) -> None:
        super().__init__()
        self._find_reuse = find_reuse
        self.mission, self.source, self.policy = source.mission, source, policy
        self.choice = choice or GroupChoice()
        self.chosen: Chosen | None = None
        self._without_lines: set[str] = set()
        self._has_bad_rows, self._bad_lines = False, 0
        if count_torn_bytes(source.path):
            fault = f"{source.path}: ends in the middle of a row: {FINISH_STAGE_A}"
            self.faults.append(fault)

    @property
    def decisive_options(self) -> dict[str, object]:
        """The rows of Stage-A, and the choice."""
        path = location_text(self.source.path.absolute())
        return {"stage_a": path, **self.choice.decisive_options}

    def find_stale(self, rows_path: Path, done: RowIndex) -> StaleRows:
        """Find the verdicts on other lines than Stage-A has, and those that miss a threshold."""
        comparison = self._compare(done)
        if self.choice.decisive_options:
            self._choose(done)
        unsure = self._find_unsure(rows_path) - comparison.stale
        redone = Counter({UNSURE_BEFORE: len(unsure)} if unsure else {})
        stale = comparison.stale | unsure
        used_otherwise = find_used_otherwise(
            self.source, rows_path, done, self._find_reuse, self.repeated
        )
        if used_otherwise := used_otherwise - stale:
            redone[USED_OTHERWISE] = len(used_otherwise)
        return StaleRows(stale | used_otherwise, redone)

    def pending(self, done: Container[str]) -> Iterator[SummaryRow]:
        """Yield the Stage-A rows whose key is not in `done`, one a group; see `bad_rows`."""
        return self._pending(done, None)

    def first_pending(self, done: Container[str], limit: int | None) -> Iterator[SummaryRow]:
        """Yield at most `limit` rows, of each label in turn: the first ones are often all passed.

        The file is then read once for each label, as far as need be.
        """
        if limit is None:
            return self.pending(done)
        by_label = (self._pending(done, (label,)) for label in ALL_LABELS)
        return islice(take_turns(by_label), limit)

    def _pending(
        self, done: Container[str], labels: Container[Label | None] | None
    ) -> Iterator[SummaryRow]:
        """Yield the rows of groups of some labels, by default of all."""
        repeated_keys: set[str] = set()
        for keyed in read_each(self.source.path, SummaryRow):
            if not isinstance(keyed, RowError) and (
                keyed.key in done
                or keyed.key in repeated_keys
                or (labels is not None and group_of(keyed.json)[1] not in labels)
                or not self._is_chosen(keyed.key)
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

        Lines that name no group are told, and those of groups that were chosen. A group with
        another row that can be read has a verdict row, which tells them all.
        """
        if not self._has_bad_rows:
            return
        for failure in self._find_bad_rows():
            is_named = failure.item != failure.group_id
            if failure.key not in done and not (is_named and not self._is_chosen(failure.key)):
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
                failure = bad_row_failure(keyed, error, self.source.mission)
                if failure.key not in told:
                    yield failure
                    told.add(failure.key)

    def count_pending(self, done: CurrentKeys, limit: int | None) -> tuple[int, int]:
        """Count the groups without a current verdict, incomplete ones included."""
        pending = self.total - self._bad_lines - len(done)
        if self.chosen is not None:
            name = self.source.mission.name
            keys = (group_key(name, *group) for group in self._group_ids())
            pending = sum(1 for key in keys if key in self.chosen and key not in done)
        count = pending if limit is None else min(pending, limit)
        return count, count

    def incomplete_groups(self, done: RowIndex) -> Iterator[IncompleteGroup]:
        """Yield the groups that Stage-A could not complete and that have no verdict row."""
        return gather_incomplete(
            failure
            for failure in read_failures(failures_file(self.source.path))
            if isinstance(failure, Failure)
            and failure.key not in done
            and self._is_chosen(failure.key)
        )

    def choose(self, done: RowIndex) -> Chosen:
        """Choose of the groups of Stage-A, those without lines among them.

        Raises: RunError if rows cannot be read.
        """
        self._compare(done)
        return self._choose(done)

    def _compare(self, done: RowIndex) -> Comparison:
        comparison = _compare(self.source, done)
        self._bad_lines, self.repeated = comparison.bad_lines, comparison.repeated
        self._without_lines = comparison.without_lines
        self.total = comparison.groups + comparison.bad_lines
        return comparison

    def _choose(self, done: RowIndex) -> Chosen:
        chosen = self.choice.choose(self._group_ids(), self.source.mission.name, done)
        self.chosen, self._bad_lines = chosen, 0
        self.total = max(chosen.total, len(done))
        if chosen.excluded:
            self.passed_over[EXCLUDED] = chosen.excluded
        return chosen

    def _group_ids(self) -> Iterator[GroupId]:
        """Yield the labels and ids of the groups of Stage-A, each once."""
        told: set[str] = set()
        for row in read_each(self.source.path, SummaryRow):
            if isinstance(row, RowError) or row.key in told:
                continue
            if row.key in self.repeated:
                told.add(row.key)
            yield GroupId.of_key(row.key)
        yield from map(GroupId.of_key, self._without_lines)

    def _is_chosen(self, key: str) -> bool:
        """Whether a group was chosen, whatever brackets its mission is written with."""
        if self.chosen is None:
            return True
        return group_key(self.source.mission.name, *GroupId.of_key(key)) in self.chosen

    def _find_unsure(self, rows_path: Path) -> set[str]:
        """Find the verdicts that miss a threshold; without thresholds rows are not read."""
        if not self.policy.decisive_options:
            return set()
        return {key_of(row) for row in read_rows(rows_path) if not self.policy.accepts(row)}


def choose_verdicts(source: StageASource, choice: GroupChoice) -> Chosen:
    """Choose of the groups of a Stage-A source, before any of them has a verdict.

    Raises: RunError if rows cannot be read.

        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            print(choose_verdicts(source, GroupChoice(sample=100)).describe())
    """
    backlog = SummaryBacklog(source, VerdictPolicy(), choice)
    no_rows = source.path.with_suffix(".none")
    with closing(RowIndex(no_rows, key_of, temporary=True)) as done:
        return backlog.choose(done)


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
    total = groups + len(without_lines)
    return Comparison(total, stale, repeated, bad_lines, without_lines)


def _keys_without_group(
    source: StageASource, done: RowIndex, without_lines: set[str]
) -> Iterator[str]:
    """Yield the keys of verdicts on groups that Stage-A no longer has."""
    key = partial(key_of, mission=mission_of_file(source.path))
    with closing(RowIndex(source.path, key, temporary=True, skip_bad=True)) as stage_a:
        for group_key in done.keys():  # noqa: SIM118
            if group_key not in stage_a and group_key not in without_lines:
                yield group_key
