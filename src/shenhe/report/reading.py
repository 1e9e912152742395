"""The groups of a run as a sheet needs them: verdict, lines and decision together, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import JsonValue

from shenhe.evaluation import has_decisions
from shenhe.evaluation.verdicts import VerdictScores
from shenhe.intake import list_photos_beside
from shenhe.locations import Location, location_text
from shenhe.proportions import Share
from shenhe.report.choice import WHOLE_RUN, ChoiceMatcher, SheetChoice
from shenhe.report.times import local_zone, read_time
from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from shenhe.rows.failures import is_of_photo
from shenhe.rows.foreign import extra_of
from shenhe.rows.keys import failures_file
from shenhe.rows.lookup import RowLookup
from shenhe.rows.outcomes import corrected_label, decided_label, read_safest_verdicts
from shenhe.rows.readers import read_failures
from shenhe.shards import list_rows_files
from shenhe.values import EXPECTED, FAIL, PASS, Label, Ruling, photo_key

VERDICTS: Final[tuple[Ruling | None, ...]] = (PASS, FAIL, None)
"""The verdicts in the order in which they are told; None is undecided."""


UNSTATED: Final = ""
"""The code of undecided groups of earlier versions, which stated none apart from the reason."""


class SheetGroup(NamedTuple):
    """A group of a sheet: its verdict, its Stage-A row, and what people decided, if anybody did.

    `unread` are the photos in its folder, where Stage-A failed and there is no row.
    """

    row: VerdictRow
    summary: SummaryRow | None = None
    decision: Decision | None = None
    unread: tuple[Location, ...] = ()

    @property
    def final(self) -> Ruling | None:
        """The verdict that counts: that of people, else the machine's; 待定 leaves it open."""
        if self.decision is None or self.decision.opinion is None:
            return self.row.verdict
        label = decided_label(self.decision)
        return EXPECTED[label] if label else None

    @property
    def label(self) -> Label | None:
        """What people said earlier, put right where a decision says that it was wrong."""
        return corrected_label(self.decision) or self.row.label

    @property
    def is_false_pass(self) -> bool:
        """Whether the machine passed what people failed, earlier or in review."""
        failed = "fail" in (self.label, decided_label(self.decision))
        return self.row.verdict == PASS and failed

    @property
    def photo_keys(self) -> list[str]:
        """Keys of its photos, also of those of which only the line is known."""
        keys = map(photo_key, range(len(self.images)))
        return list(dict.fromkeys((*keys, *(self.summary.per_image if self.summary else ()))))

    @property
    def photos(self) -> Sequence[Location]:
        """Where its photos are."""
        return self.summary.photos if self.summary else self.unread

    @property
    def images(self) -> Sequence[str]:
        """The same as rows name them."""
        return self.summary.images if self.summary else [*map(location_text, self.unread)]


@dataclass(slots=True)
class MissionTotals:
    """Counts of the groups of a mission.

    `machine` are the model's verdicts, `final` those that count; `decided` groups have a decision
    of people, which overrules the model in `overruled`. `by_label` compares the model with earlier
    human verdicts, `by_decision` with decisions. `why` counts the groups that the model left
    undecided by each of their codes. `evidence` counts groups by the hash of the evidence rules
    that were applied: empty where the mission has none, "off" where they were turned off, None in
    rows that know of none.

        totals = read_run(Path("out")).missions[0]
        totals.by_label.false_pass.interval()
    """

    mission: str
    groups: int = 0
    photos: int = 0
    decided: int = 0
    overruled: int = 0
    machine: Counter[Ruling | None] = field(default_factory=Counter)
    final: Counter[Ruling | None] = field(default_factory=Counter)
    by_label: VerdictScores = field(default_factory=VerdictScores)
    by_decision: VerdictScores = field(default_factory=VerdictScores)
    why: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str | None] = field(default_factory=Counter)

    @property
    def agreement(self) -> Share:
        """Groups that the model judged as people did earlier, of all that they judged."""
        return Share(self.by_label.accuracy.count, self.by_label.coverage.total)

    def add(self, group: SheetGroup) -> None:
        """Count a group."""
        self.groups += 1
        self.photos += len(group.photo_keys)
        self.machine[group.row.verdict] += 1
        self.final[group.final] += 1
        if group.row.verdict is None:
            self.why.update(set(group.row.meta.why) or {UNSTATED})
        rules = group.row.meta.evidence
        self.evidence[rules.rules if rules else None] += 1
        if group.decision is not None:
            self.decided += 1
            self.overruled += group.decision.overrules
        self.compare(group)

    def compare(self, group: SheetGroup) -> None:
        """Count only how the model and people agree."""
        for scores, label in (
            (self.by_label, group.label),
            (self.by_decision, decided_label(group.decision)),
        ):
            if label is not None:
                scores.confusion[label, group.row.verdict or ""] += 1


def sum_totals(totals: Iterable[MissionTotals], name: str = "") -> MissionTotals:
    """Add up the counts of missions."""
    whole = MissionTotals(name)
    for part in totals:
        for field_name in ("groups", "photos", "decided", "overruled"):
            setattr(whole, field_name, getattr(whole, field_name) + getattr(part, field_name))
        for counter in ("machine", "final", "why", "evidence"):
            getattr(whole, counter).update(getattr(part, counter))
        whole.by_label.confusion.update(part.by_label.confusion)
        whole.by_decision.confusion.update(part.by_decision.confusion)
    return whole


class SheetReading:
    """The chosen groups of a run, one at a time, and their counts once all of them were read.

    `totals` counts the chosen groups, `compared` all groups of the run, by mission: a work order of
    three groups bounds no rate. `checkpoints` and `promises` are those that rows name.

        reading = SheetReading(Path("out"), SheetChoice(missions=("挡风板安装检查",)))
        undecided = [group for group in reading.groups() if group.final is None]
        reading.totals["挡风板安装检查"].final
    """

    def __init__(
        self,
        run_dir: Path,
        choice: SheetChoice = WHOLE_RUN,
        decisions: Iterable[Decision] | None = None,
        zone: timezone | None = None,
        lines: bool = True,
    ) -> None:
        """Read a run; `decisions` are the current ones, by default those of the run's folder.

        Without `lines` no Stage-A row is read, and no photo is counted.
        Raises: RunError if decisions cannot be read.
        """
        self.run_dir, self.choice, self.zone = run_dir, choice, zone or local_zone()
        self.run_name, self._lines = run_dir.resolve().name, lines
        self.decisions = _by_key(run_dir, decisions)
        self.totals: dict[str, MissionTotals] = {}
        self.compared: dict[str, MissionTotals] = {}
        self.checkpoints: dict[str, None] = {}
        self.promises: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None

    def groups(self) -> Iterator[SheetGroup]:
        """Yield the chosen groups in the order of the rows, and count them.

        Raises: RunError if there are no verdicts, or none that is chosen, or rows of another form.
        """
        matcher = ChoiceMatcher(self.choice)
        with ExitStack() as opened:
            stage_a = _StageA(self.run_dir, opened)
            for row in read_safest_verdicts(self.run_dir):
                decision = self.decisions.get(row.key)
                self._of(self.compared, row).compare(SheetGroup(row, None, decision))
                if matcher.match(row, partial(stage_a.extra_of, row)):
                    summary = stage_a.find(row) if self._lines else None
                    unread = stage_a.unread(row) if self._lines and summary is None else ()
                    group = SheetGroup(row, summary, decision, unread)
                    self._count(group)
                    yield group
        if not self.choice.is_whole:
            matcher.check()

    @property
    def whole(self) -> MissionTotals:
        """The counts of all chosen groups together."""
        return sum_totals(self.totals.values())

    @property
    def last_decision(self) -> Decision | None:
        """The decision that was made last."""
        return max(self.decisions.values(), key=lambda each: each.number, default=None)

    def _count(self, group: SheetGroup) -> None:
        self._of(self.totals, group.row).add(group)
        for row in (group.row, group.summary):
            if row is not None and row.meta.checkpoint:
                self.checkpoints[row.meta.checkpoint] = None
        self.promises[group.row.meta.promise or ""] += 1
        time = read_time(group.row.timestamp, self.zone)
        if time is not None:
            self.first = min(self.first or time, time)
            self.last = max(self.last or time, time)

    @staticmethod
    def _of(totals: dict[str, MissionTotals], row: VerdictRow) -> MissionTotals:
        counts = totals.get(row.mission)
        if counts is None:
            counts = totals[row.mission] = MissionTotals(row.mission)
        return counts


_NO_ROW: SummaryRow | None = None


class _StageA:
    """Finds the Stage-A rows of groups; those of the last group stay at hand."""

    def __init__(self, run_dir: Path, opened: ExitStack) -> None:
        self._lookups = [
            RowLookup(path, SummaryRow) for path in list_rows_files(run_dir / "stage_a")
        ]
        for lookup in self._lookups:
            opened.callback(lookup.close)
        self._key, self._row = "", _NO_ROW
        self._run_dir = run_dir

    def unread(self, row: VerdictRow) -> tuple[Location, ...]:
        """List the photos of a group that failed."""
        return list_photos_beside(self._failed.get(row.key, ""))

    @cached_property
    def _failed(self) -> dict[str, str]:
        """The photo of each group that failed last."""
        paths = map(failures_file, list_rows_files(self._run_dir / "stage_a"))
        failures = (failure for path in paths for failure in read_failures(path))
        return {failure.key: failure.item for failure in filter(is_of_photo, failures)}

    def extra_of(self, row: VerdictRow) -> Mapping[str, JsonValue]:
        """Collect what another tool gave a group."""
        return extra_of(self.find(row), row)

    def find(self, row: VerdictRow) -> SummaryRow | None:
        """Find the row of a group; the last one where there are several."""
        if row.key != self._key:
            self._key, self._row = row.key, self._search(row.key)
        return self._row

    def _search(self, key: str) -> SummaryRow | None:
        for number, lookup in enumerate(self._lookups):
            rows = [located.row for located in lookup.find(key) if located.row is not None]
            if rows:
                # Groups of one mission stand in one file: it is the first to be searched next.
                self._lookups.insert(0, self._lookups.pop(number))
                return rows[-1]
        return None


def _by_key(run_dir: Path, decisions: Iterable[Decision] | None) -> Mapping[str, Decision]:
    if decisions is None:
        decisions = Decisions(run_dir).all_current() if has_decisions(run_dir) else ()
    return {decision.key: decision for decision in decisions}
