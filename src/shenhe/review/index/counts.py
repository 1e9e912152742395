"""How much of a queue is done: of the whole, of what filters let through, and of each mission."""

from __future__ import annotations

import sqlite3

from shenhe.review.index.answers import Answers
from shenhe.review.index.filters import (
    QUEUES,
    Filters,
    answers_of,
    condition_on_answers,
    condition_on_rows,
    values_of,
)
from shenhe.review.index.groups import Progress
from shenhe.rows.decision_rows import DEFERRED

NO_FILTERS = Filters()
KEPT_COUNTS = 500
"""How many counts are kept until somebody decides: many tabs ask for the same ones."""


class Counts:
    """Counts the groups of an index.

    Example:
        progress = Counts(answers).progress(Filters(mission="挡风板安装检查"))

    """

    def __init__(self, answers: Answers) -> None:
        """Count over the connection of an index."""
        self._answers = answers
        self._kept: dict[tuple[object, Filters], Progress] = {}
        self._totals: dict[tuple[object, Filters], int] = {}

    def progress(self, filters: Filters) -> Progress:
        """Count the groups that match the filters, whatever their state."""
        filters = filters.in_any_state
        with self._answers.reading() as db:
            name = (self._answers.moment, filters)
            if name not in self._kept:
                if len(self._kept) >= KEPT_COUNTS:
                    self._kept.clear()
                self._kept[name] = self._count(db, filters)
            return self._kept[name]

    def by_mission(self, filters: Filters = NO_FILTERS) -> dict[str, Progress]:
        """Count the groups of each mission, in the order of their names, as a viewer may know."""
        with self._answers.reading() as db:
            sizes = db.execute("SELECT name, size FROM missions ORDER BY rowid").fetchall()
            tallies = db.execute(
                "SELECT mission, count(*), sum(overrules)"
                f" FROM {answers_of(filters)} GROUP BY mission",
                values_of(filters),
            ).fetchall()
        decided = {mission: counts for mission, *counts in tallies}
        return {name: Progress(size, *decided.get(name, (0, 0))) for name, size in sizes}

    def matching(self, filters: Filters) -> int:
        """Count the groups that match the filters and their state."""
        progress = self.progress(filters)
        if filters.state == "deferred":
            with self._answers.reading() as db:
                return self._count_answered(db, filters, condition_on_answers(filters))[0]
        return {
            "open": progress.groups - progress.decided,
            "decided": progress.decided,
            "overruled": progress.overruled,
        }.get(filters.state, progress.groups)

    def last_answers(self, filters: Filters, count: int) -> list[bool]:
        """List the last answers to the question of a queue, whether they are against, newest first.

        待定 is no answer.
        """
        queue = QUEUES[filters.queue]
        with self._answers.reading() as db:
            source, values = self._answered(db, filters.in_any_state)
            rows = db.execute(
                f"SELECT {queue.against} FROM {source} AND {queue.answered}"
                f" AND c.choice <> '{DEFERRED}' ORDER BY c.decision DESC LIMIT :count",
                values | {"count": count},
            ).fetchall()
        return [bool(against) for (against,) in rows]

    def _count(self, db: sqlite3.Connection, filters: Filters) -> Progress:
        # Once: of 200,000 groups, those of a person take longer to count than all else of a page.
        whole = (self._answers.file, filters)
        if whole not in self._totals:
            if len(self._totals) >= KEPT_COUNTS:
                self._totals.clear()
            self._totals[whole] = self._count_rows(db, filters)
        return Progress(
            self._totals[whole], *self._count_answered(db, filters, QUEUES[filters.queue].answered)
        )

    def _count_rows(self, db: sqlite3.Connection, filters: Filters) -> int:
        queue, values = QUEUES[filters.queue], values_of(filters)
        source = queue.table
        if filters.mission or not filters.names_nothing_else:
            joins = queue.joins + self._matches(db, filters, "g", values)
            source = f"groups g {joins} WHERE {condition_on_rows(filters)}"
        (count,) = db.execute(f"SELECT count(*) FROM {source}", values).fetchone()
        return int(count)

    def _count_answered(
        self, db: sqlite3.Connection, filters: Filters, condition: str
    ) -> tuple[int, int]:
        """Count the answered groups that match, and those among them that are against."""
        source, values = self._answered(db, filters)
        against = QUEUES[filters.queue].against
        cells = db.execute(
            f"SELECT count(*), ifnull(sum({against}), 0) FROM {source} AND {condition}", values
        ).fetchone()
        return cells[0], cells[1]

    def _answered(self, db: sqlite3.Connection, filters: Filters) -> tuple[str, dict[str, object]]:
        """Give the answered groups that match, in SQL, with their rows only where these matter."""
        values = values_of(filters)
        alias = "c" if filters.names_nothing_else else "g"
        joins = QUEUES[filters.queue].joins.replace("g.number", "c.number")
        joins += self._matches(db, filters, "c", values)
        if alias == "g":
            joins += " CROSS JOIN groups g ON g.number = c.number"
        condition = condition_on_rows(filters).replace("g.mission", "c.mission")
        return f"{answers_of(filters)} c {joins} WHERE {condition}", values

    def _matches(
        self, db: sqlite3.Connection, filters: Filters, alias: str, values: dict[str, object]
    ) -> str:
        if not filters.text:
            return ""
        values["search"] = self._answers.search(db, filters.text)
        return f" JOIN matches m ON m.search = :search AND m.number = {alias}.number"
