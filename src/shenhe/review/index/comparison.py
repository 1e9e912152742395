"""Two runs on the same groups: what changed its verdict, counted by mission and listed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from shenhe.proportions import Share, mcnemar
from shenhe.rows.decision_tables import STANDS
from shenhe.values import FAIL, PASS, Label, Ruling

UNDECIDED = "undecided"
OUTCOMES = (PASS, FAIL, UNDECIDED)
"""What a run may say of a group."""
LABEL_WRONG = (
    "(c.choice IS NOT NULL AND coalesce((SELECT json_extract(d.said, '$.label_wrong')"
    " FROM decided.decisions d WHERE d.number = c.number), 0))"
)
"""Whether a decision says that the label is wrong."""
Connect = Callable[[], AbstractContextManager[sqlite3.Connection]]
_NOW, _BEFORE = (f"coalesce({row}.verdict, '{UNDECIDED}')" for row in "go")
_TRUTH = (
    f"CASE WHEN {LABEL_WRONG} THEN CASE c.choice WHEN '{PASS}' THEN 'pass' WHEN '{FAIL}'"
    " THEN 'fail' END ELSE g.label END"
)
"""The label of a group, put right where people found it wrong: as `evaluate verdicts` counts."""
_PAIRED = (
    "groups g JOIN beside.groups o ON o.key = g.key"
    f" LEFT JOIN decided.current c ON c.key = g.key AND {STANDS}"
)
CHANGES = {
    "": f"{_NOW} <> {_BEFORE}",
    "passes_now": f"{_NOW} = '{PASS}' AND {_BEFORE} <> '{PASS}'",
    "passed_before": f"{_NOW} <> '{PASS}' AND {_BEFORE} = '{PASS}'",
    "undecided_now": f"{_NOW} = '{UNDECIDED}' AND {_BEFORE} <> '{UNDECIDED}'",
    "decided_now": f"{_NOW} <> '{UNDECIDED}' AND {_BEFORE} = '{UNDECIDED}'",
    "false_now": f"{_NOW} = '{PASS}' AND {_BEFORE} <> '{PASS}' AND {_TRUTH} = 'fail'",
    "false_before": f"{_NOW} <> '{PASS}' AND {_BEFORE} = '{PASS}' AND {_TRUTH} = 'fail'",
    "same": f"{_NOW} = {_BEFORE}",
}
"""Kinds of change by their name in addresses, as conditions in SQL; empty: any change."""


class PairedGroup(NamedTuple):
    """A group that both runs have; numbers are those of each run's own index.

        [group for group in comparison.page("false_now") if group.now == "通过"]

    `truth` is its label, put right where people found it wrong.
    """

    number: int
    other_number: int
    group_id: str
    mission: str
    truth: Label | None
    now: Ruling | None
    before: Ruling | None
    reason: str


@dataclass(slots=True)
class MissionComparison:
    """Counts of the groups of a mission that both runs have.

    `verdicts` counts by (verdict before, verdict now), `labelled` by (truth, before, now).

        comparison.missions()[-1].p_value  # of all missions together
    """

    mission: str
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    labelled: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def groups(self) -> int:
        """Groups that both runs have."""
        return self.verdicts.total()

    @property
    def changed(self) -> int:
        """Groups with another verdict."""
        return sum(n for (before, now), n in self.verdicts.items() if before != now)

    @property
    def right_now_only(self) -> int:
        """Labelled groups that only this run judged as people did."""
        return self._count(lambda truth, before, now: now == truth != before)

    @property
    def right_before_only(self) -> int:
        """Labelled groups that only the other run judged as people did."""
        return self._count(lambda truth, before, now: before == truth != now)

    @property
    def p_value(self) -> float:
        """McNemar's exact p-value of which run is right more often."""
        return mcnemar(self.right_before_only, self.right_now_only)

    @property
    def false_passes(self) -> Share:
        """Groups that people failed and this run passed."""
        count = self._count(lambda truth, before, now: truth == FAIL and now == PASS)
        return Share(count, self._bad)

    @property
    def false_passes_before(self) -> Share:
        """Groups that people failed and the other run passed."""
        count = self._count(lambda truth, before, now: truth == FAIL and before == PASS)
        return Share(count, self._bad)

    def add(self, mission: MissionComparison) -> None:
        """Add the counts of another mission."""
        self.verdicts += mission.verdicts
        self.labelled += mission.labelled

    @property
    def _bad(self) -> int:
        return self._count(lambda truth, before, now: truth == FAIL)

    def _count(self, holds: Callable[[str, str, str], bool]) -> int:
        return sum(n for cells, n in self.labelled.items() if holds(*cells))


class Comparison:
    """A run beside another one.

    Example:
        comparison = Index(Path("after")).beside(Index(Path("before")))
        [mission.changed for mission in comparison.missions()]

    """

    def __init__(self, connect: Connect, other: Path) -> None:
        """Compare the groups of a connection with those of another index."""
        self._connect_index, self._other = connect, other

    def missions(self) -> list[MissionComparison]:
        """Count by mission, and over all under an empty name as the last one."""
        counts: dict[str, MissionComparison] = {}
        with self._connect() as db:
            rows = db.execute(
                f"SELECT g.mission, {_TRUTH}, {_BEFORE}, {_NOW}, count(*) FROM {_PAIRED}"
                " GROUP BY 1, 2, 3, 4 ORDER BY 1"
            ).fetchall()
        for mission, truth, before, now, count in rows:
            comparison = counts.setdefault(mission, MissionComparison(mission))
            comparison.verdicts[before, now] += count
            if truth is not None:
                comparison.labelled[{"pass": PASS, "fail": FAIL}[truth], before, now] += count
        total = MissionComparison("")
        for comparison in counts.values():
            total.add(comparison)
        return [*counts.values(), total]

    def count_alone(self) -> tuple[int, int]:
        """Count the groups that only this run has, and those that only the other one has."""
        with self._connect() as db:
            counts = (
                db.execute(
                    f"SELECT count(*) FROM {mine}groups g WHERE NOT EXISTS"
                    f" (SELECT 1 FROM {theirs}groups o WHERE o.key = g.key)"
                ).fetchone()[0]
                for mine, theirs in (("main.", "beside."), ("beside.", "main."))
            )
            now, before = counts
        return now, before

    def page(
        self, change: str = "", mission: str = "", after: int = 0, count: int = 50
    ) -> list[PairedGroup]:
        """List groups with a kind of change after a number, in the order of this run's queue."""
        return self._select(change, mission, "g.number > ?", "g.number", after, count)

    def count(self, change: str, mission: str = "") -> int:
        """Count the groups with a kind of change."""
        condition, values = _to_condition(change, mission)
        with self._connect() as db:
            query = f"SELECT count(*) FROM {_PAIRED} WHERE {condition}"
            return int(db.execute(query, values).fetchone()[0])

    def find(self, number: int) -> PairedGroup | None:
        """Find a group by its number in this run; None if it is not in both."""
        groups = self._select("", "", "g.number = ?", "1", number, 1, any_change=True)
        return groups[0] if groups else None

    def neighbour(self, change: str, mission: str, number: int, *, next_one: bool) -> int | None:
        """Give the number of the next group with a kind of change, or of the previous one."""
        bound, order = ("g.number > ?", "ASC") if next_one else ("g.number < ?", "DESC")
        groups = self._select(change, mission, bound, f"g.number {order}", number, 1)
        return groups[0].number if groups else None

    def _select(
        self,
        change: str,
        mission: str,
        bound: str,
        order: str,
        number: int,
        count: int,
        *,
        any_change: bool = False,
    ) -> list[PairedGroup]:
        condition, values = ("1", ()) if any_change else _to_condition(change, mission)
        with self._connect() as db:
            rows = db.execute(
                "SELECT g.number, o.number, g.group_id, g.mission,"
                f" {_TRUTH}, g.verdict, o.verdict, g.reason FROM {_PAIRED}"
                f" WHERE {condition} AND {bound} ORDER BY {order} LIMIT ?",
                (*values, number, count),
            ).fetchall()
        return list(map(PairedGroup._make, rows))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with self._connect_index() as db:
            db.execute("ATTACH ? AS beside", (str(self._other),))
            yield db


def _to_condition(change: str, mission: str) -> tuple[str, tuple[str, ...]]:
    condition = CHANGES[change]
    return (f"{condition} AND g.mission = ?", (mission,)) if mission else (condition, ())
