"""Pages of a queue and neighbours of a group: by position, never by counting what lies before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from shenhe.review.index.answers import Answers
from shenhe.review.index.filters import (
    LABELS,
    QUEUES,
    SORTS,
    Filters,
    answers_of,
    condition_on_answers,
    condition_on_rows,
    values_of,
)
from shenhe.review.index.groups import QueueEntry

_ENTRY = (
    "g.number, g.key, g.group_id, g.mission, g.label, g.verdict, g.p_pass, g.reason, g.inputs,"
    " c.choice, ifnull(c.overrules, 0), c.reviewer, c.at, ifnull(c.decision, 0),"
    " g.photos, g.tag, g.why, ifnull(g.marked, 0),"
    " EXISTS (SELECT 1 FROM audits a WHERE a.number = g.number AND a.draw < :share)"
)
UNIQUE = ("g.number", "q.rank", "c.decision")
"""Orders in which no two groups are equal."""
_BOTH = "(:value, :number)"
_WITH_ANSWERS = "groups g LEFT JOIN answers c ON c.number = g.number"


class Cursor(NamedTuple):
    """Where a page begins or ends: at a group, and at the decision that it had then.

    Example:
        page = index.page(Filters(sort="-decided"), Cursor(entry.number, entry.decision))

    """

    number: int = 0
    decision: int = 0


class Pager:
    """Reads entries of queues over the connection of an index.

    Example:
        entries = Pager(answers, share=0.05).page(Filters(), Cursor(), 50)

    """

    def __init__(self, answers: Answers, share: float) -> None:
        """Tell of each entry whether a blind audit of a share draws it; -1 draws none."""
        self._answers, self._share = answers, share

    def page(
        self,
        filters: Filters,
        cursor: Cursor,
        count: int,
        *,
        backwards: bool = False,
        without: Collection[str] = (),
    ) -> list[QueueEntry]:
        """List the entries nearest to a cursor on one side, in the order of the queue.

        Keys in `without` are passed over.
        """
        parts = _parts(filters)
        at = len(parts) - 1 if cursor.number and not cursor.decision else 0
        entries: list[QueueEntry] = []
        for part in parts[at::-1] if backwards else parts[at:]:
            start = cursor if part is parts[at] else Cursor()
            listed = self._page(part, start, count - len(entries), backwards, without)
            entries = listed + entries if backwards else entries + listed
        return entries

    def _page(
        self,
        filters: Filters,
        cursor: Cursor,
        count: int,
        backwards: bool,
        without: Collection[str],
    ) -> list[QueueEntry]:
        with self._answers.reading() as db:
            column = _column(filters)
            is_down = filters.sort.startswith("-") != backwards
            comparison, direction = ("<", "DESC") if is_down else (">", "ASC")
            values = values_of(filters) | {"count": count, "share": self._share}
            conditions = [condition_on_rows(filters), condition_on_answers(filters)]
            if without:
                conditions.append("g.key NOT IN (SELECT value FROM json_each(:without))")
                values["without"] = json.dumps(list(without))
            if cursor.number:
                value = _position(db, filters, column, cursor)
                if value is None and backwards:
                    return []
                if value is not None:
                    bound = ("{}", ":value") if column in UNIQUE else ("({}, g.number)", _BOTH)
                    conditions.append(f"{bound[0].format(column)} {comparison} {bound[1]}")
                    values |= {"value": value, "number": cursor.number}
            rows = db.execute(
                f"SELECT {_ENTRY} FROM {self._source(db, filters, values)}"
                f" WHERE {' AND '.join(conditions)}"
                f" ORDER BY {column} {direction}, g.number {direction} LIMIT :count",
                values,
            ).fetchall()
        entries = [to_entry(cells) for cells in rows]
        return entries[::-1] if backwards else entries

    def find(self, condition: str, value: object) -> QueueEntry | None:
        """Find the entry of one group."""
        values = {"value": value, "share": self._share}
        query = f"SELECT {_ENTRY} FROM {_WITH_ANSWERS} WHERE {condition}"
        with self._answers.reading() as db:
            cells = db.execute(query, values).fetchone()
        return to_entry(cells) if cells else None

    def _source(self, db: sqlite3.Connection, filters: Filters, values: dict[str, object]) -> str:
        joins = QUEUES[filters.queue].joins
        if filters.text:
            joins += " JOIN matches m ON m.search = :search AND m.number = g.number"
            values["search"] = self._answers.search(db, filters.text)
        if _is_by_answers(filters):
            return f"{answers_of(filters)} c CROSS JOIN groups g ON g.number = c.number {joins}"
        return f"groups g {joins} LEFT JOIN {answers_of(filters)} c ON c.number = g.number"


def to_entry(cells: Sequence[object]) -> QueueEntry:
    """Make an entry of the cells of a row."""
    entry = QueueEntry._make(cells)
    return entry._replace(
        overrules=bool(entry.overrules),
        why=tuple(str(entry.why).split()),
        marked=bool(entry.marked),
        drawn=bool(entry.drawn),
    )


def _parts(filters: Filters) -> list[Filters]:
    """Give the parts of a list: by time, decided groups come before the open ones, by need."""
    is_timed = filters.sort.removeprefix("-") == "decided"
    if not is_timed or not filters.shows_all_states or filters.queue:
        return [filters]
    return [replace(filters, state="decided"), replace(filters, state="open", sort="")]


def _is_by_answers(filters: Filters) -> bool:
    """Whether groups are found from their decisions on: few have one, or they order the list."""
    is_decided = filters.state in ("decided", "overruled", "deferred")
    return is_decided and not filters.text and filters.sort in ("", "decided", "-decided")


def _column(filters: Filters) -> str:
    sort = filters.sort.removeprefix("-")
    if not sort:
        return QUEUES[filters.queue].position
    return "c.decision" if sort == "decided" and _is_by_answers(filters) else SORTS[sort]


def _position(db: sqlite3.Connection, filters: Filters, column: str, cursor: Cursor) -> object:
    """Give where a group stands in an order; None for one that is not in it: before them all."""
    if column == "g.number":
        return cursor.number
    if filters.sort.removeprefix("-") == "decided":
        return cursor.decision
    joins = QUEUES[LABELS].joins if column.startswith("q.") else ""
    query = f"SELECT {column} FROM groups g {joins} WHERE g.number = ?"
    cells = db.execute(query, (cursor.number,)).fetchone()
    return cells[0] if cells else None
