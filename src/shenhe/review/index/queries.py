"""Queries on the index of a run, together with the decisions of people."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from shenhe.errors import IntakeError, RunError
from shenhe.intake import list_photos
from shenhe.locations import locate, location_text
from shenhe.photos import is_photo
from shenhe.review.index.audits import AuditQueue
from shenhe.review.index.builder import build, is_current
from shenhe.review.index.comparison import Comparison
from shenhe.review.index.filters import LABELS, OVERRULES, QUEUES, Filters, to_condition
from shenhe.review.index.groups import GroupRows, Progress, QueueEntry
from shenhe.review.index.moments import follow_once
from shenhe.review.index.seconds import SecondQueue
from shenhe.review.index.sources import find_sources
from shenhe.row_types import CaptionRow, SummaryRow, VerdictRow
from shenhe.rows.audits import plan_audit, read_audit_plan
from shenhe.rows.decision_rows import DEFERRED, Decision
from shenhe.rows.decision_tables import STANDS
from shenhe.rows.decisions import Decisions
from shenhe.rows.photo_marks import read_uses
from shenhe.rows.readers import read_at
from shenhe.rows.second_plans import SecondPlan
from shenhe.team import (
    Claims,
    Database,
    SecondOpinions,
    SharedDecisions,
    open_database,
)

_ENTRY = (
    "g.number, g.key, g.group_id, g.mission, g.label, g.verdict, g.p_pass, g.reason, g.inputs,"
    f" c.choice, {OVERRULES}"
)
_JOINED = f"LEFT JOIN decided.current c ON c.key = g.key AND {STANDS}"
_DECIDED = f"decided.current c CROSS JOIN groups g ON g.key = c.key AND {STANDS}"
"""Joined from the decisions on: only a small part of the groups has one."""


class Index:
    """The groups of a run, numbered from 1 in the order of the queue.

    Its methods may be called from any thread.

        index = Index(Path("out"))
        for entry in index.page(Filters(verdict="undecided")):
            print(entry.number, entry.group_id, entry.reason)
    """

    def __init__(
        self,
        run_dir: Path,
        captions: Sequence[Path] = (),
        audit_share: float | None = None,
        database: Database | None = None,
    ) -> None:
        """Open the index of a run folder, and build it again if the rows have changed.

        `audit_share` of the groups that the machine passed are drawn for the blind audit; None
        keeps the plan that the run has, if it has one. `database` is the team's; None is SQLite
        beside the decisions.
        Raises: RunError if the folder holds no verdicts, or rows of another form.
        """
        sources = find_sources(run_dir, captions)
        self._run_dir, self._database = run_dir, database
        self.decisions = (
            SharedDecisions(run_dir, database)
            if database and database.is_shared
            else Decisions(run_dir)
        )
        self.path = self.decisions.path.with_name("index.sqlite")
        self.second: SecondQueue | None = None
        plan = plan_audit(run_dir, audit_share) if audit_share else read_audit_plan(run_dir)
        self.audit = AuditQueue(self._connect, plan) if plan else None
        try:
            if not is_current(self.path, sources, plan):
                build(self.path, sources, plan)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}") from error

    def review_twice(self, plan: SecondPlan, opinions: SecondOpinions) -> None:
        """Have a second person judge decided groups, as a plan draws them.

        Raises: RunError if the index cannot be written.
        """
        self.second = SecondQueue(self._connect, self.path, plan, opinions)

    @cached_property
    def database(self) -> Database:
        """What the reviewers of the run share; SQLite's file is made by its first use."""
        return self._database or open_database(self._run_dir)

    @cached_property
    def claims(self) -> Claims:
        """Who has which group open."""
        return Claims(self.database)

    def missions(self) -> list[str]:
        """List the missions of the run."""
        with self._connect() as db:
            rows = db.execute("SELECT name FROM missions ORDER BY rowid").fetchall()
        return [name for (name,) in rows]

    def page(self, filters: Filters, after: int = 0, count: int = 50) -> list[QueueEntry]:
        """List groups of the queue in its order, after a number.

        In the queue of labels the open ones come first, after so many entries.
        """
        if filters.queue == LABELS:
            return self._page_of_labels(filters, after, count)
        return self._select_entries(filters, "g.number > ?", "g.number LIMIT ?", (after, count))

    def following(
        self,
        filters: Filters,
        number: int,
        *,
        open_only: bool = False,
        without: Collection[str] = (),
    ) -> QueueEntry | None:
        """Find the next group of the queue, or the next open one; None at the end.

        Groups whose keys are in `without` are passed over, as those that others have open.
        """
        if open_only and not filters.state:
            filters = replace(filters, state="open")
        return self._select_neighbour(filters, number, ">", "ASC", without)

    def preceding(self, filters: Filters, number: int) -> QueueEntry | None:
        """Find the previous group of the queue; None at the beginning."""
        return self._select_neighbour(filters, number, "<", "DESC")

    def progress(self, filters: Filters) -> Progress:
        """Count the groups that match the filters, whatever their state."""
        queue = QUEUES[filters.queue]
        condition, values = to_condition(replace(filters, state=""))
        with self._connect() as db:
            groups = f"groups g {queue.joins} WHERE {condition}" if values else queue.table
            (total,) = db.execute(f"SELECT count(*) FROM {groups}", values).fetchone()
            decided, overruled = db.execute(
                f"SELECT coalesce(sum({queue.answered}), 0), coalesce(sum({queue.against}), 0)"
                f" FROM {_DECIDED} {queue.joins} WHERE {condition}",
                values,
            ).fetchone()
        return Progress(total, decided, overruled)

    def last_answers(self, filters: Filters, count: int) -> list[bool]:
        """List the last answers to the question of a queue, whether they are against, newest first.

        待定 is no answer.
        """
        queue = QUEUES[filters.queue]
        condition, values = to_condition(replace(filters, state=""))
        with self._connect() as db:
            rows = db.execute(
                f"SELECT {queue.against} FROM {_DECIDED} {queue.joins} WHERE {condition}"
                f" AND {queue.answered} AND c.choice <> ? ORDER BY c.number DESC LIMIT ?",
                (*values, DEFERRED, count),
            ).fetchall()
        return [bool(against) for (against,) in rows]

    def count_matching(self, filters: Filters, progress: Progress | None = None) -> int:
        """Count the groups that match the filters; `progress` saves counting it again."""
        condition, values = to_condition(filters)
        if filters.state in ("", "open"):
            progress = progress or self.progress(filters)
            return progress.groups - (progress.decided if filters.state else 0)
        with self._connect() as db:
            joins = QUEUES[filters.queue].joins
            query = f"SELECT count(*) FROM {_DECIDED} {joins} WHERE {condition}"
            return int(db.execute(query, values).fetchone()[0])

    def current_decisions(self) -> Iterator[Decision]:
        """Yield the last decision on each group, in the order in which they were made."""
        with self._connect() as db:
            inputs = dict(db.execute("SELECT key, inputs FROM groups").fetchall())
        return self.decisions.all_current(inputs)

    def count_outdated(self) -> int:
        """Count the decisions on photos that have changed since."""
        condition = f"c.choice IS NOT NULL AND NOT {STANDS}"
        with self._connect() as db:
            query = (
                "SELECT count(*) FROM decided.current c JOIN groups g USING (key)"
                f" WHERE {condition}"
            )
            return int(db.execute(query).fetchone()[0])

    def group(self, number: int) -> GroupRows | None:
        """Read the rows of a group from their files; None for an unknown number.

        Raises: RunError if the rows have changed since the index was built.
        """
        with self._connect() as db:
            return self._read_group(db, "g.number = ?", number)

    def group_by_key(self, key: str) -> GroupRows | None:
        """Read the rows of a group from their files; None for an unknown key.

        Raises: RunError if the rows have changed since the index was built.
        """
        with self._connect() as db:
            return self._read_group(db, "g.key = ?", key)

    def beside(self, other: Index) -> Comparison:
        """Compare the run with another one on the same groups."""
        return Comparison(self._connect, other.path)

    def _read_group(
        self, db: sqlite3.Connection, condition: str, value: object
    ) -> GroupRows | None:
        cells = db.execute(
            "SELECT g.verdict_file, g.verdict_at, g.summary_file, g.summary_at, g.uses,"
            f" {_ENTRY} FROM groups g {_JOINED} WHERE {condition}",
            (value,),
        ).fetchone()
        if cells is None:
            return None
        entry = _to_entry(cells[5:])
        verdict_file, verdict_offset, summary_file, summary_offset, uses = cells[:5]
        files = dict(db.execute("SELECT number, path FROM files").fetchall())
        verdict = read_at(Path(files[verdict_file]), verdict_offset, VerdictRow)
        summary = None
        if summary_file:
            summary = read_at(Path(files[summary_file]), summary_offset, SummaryRow)
        if verdict.key != entry.key or (summary is not None and summary.key != entry.key):
            raise RunError("the rows have changed since: start `shenhe review` again")
        images = summary.images if summary else _find_failed_photos(db, entry.key)
        captions: dict[str, CaptionRow] = {}
        for image in images:
            position = db.execute(
                "SELECT file, at FROM captions WHERE image = ?", (image,)
            ).fetchone()
            if position is not None:
                captions[image] = read_at(Path(files[position[0]]), position[1], CaptionRow)
        return GroupRows(entry, verdict, summary, images, captions, read_uses(uses))

    def _page_of_labels(self, filters: Filters, after: int, count: int) -> list[QueueEntry]:
        order = f"{QUEUES[LABELS].position} LIMIT ? OFFSET ?"
        if filters.state:
            return self._select_entries(filters, "1", order, (count, after))
        entries = self._page_of_labels(replace(filters, state="open"), after, count)
        if len(entries) < count:
            beyond = max(0, after - self.count_matching(replace(filters, state="open")))
            decided = replace(filters, state="decided")
            entries += self._page_of_labels(decided, beyond, count - len(entries))
        return entries

    def _select_neighbour(
        self,
        filters: Filters,
        number: int,
        comparison: str,
        order: str,
        without: Collection[str] = (),
    ) -> QueueEntry | None:
        """Find the nearest group of the queue on one side of a group; 0 is before them all."""
        position = QUEUES[filters.queue].position
        here, values = "?", (number, json.dumps([*without]))
        if filters.queue:
            here = "coalesce((SELECT rank FROM doubts WHERE number = ?), 0)"
        bound = f"{position} {comparison} {here} AND g.key NOT IN (SELECT value FROM json_each(?))"
        entries = self._select_entries(filters, bound, f"{position} {order} LIMIT 1", values)
        return next(iter(entries), None)

    def _select_entries(
        self, filters: Filters, bound: str, order: str, bound_values: tuple[int | str, ...]
    ) -> list[QueueEntry]:
        condition, values = to_condition(filters)
        joins = QUEUES[filters.queue].joins
        with self._connect() as db:
            rows = db.execute(
                f"SELECT {_ENTRY} FROM groups g {joins} {_JOINED} WHERE {condition} AND {bound}"
                f" ORDER BY {order}",
                (*values, *bound_values),
            ).fetchall()
        return [_to_entry(cells) for cells in rows]

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        follow_once(self.decisions)
        try:
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
                db.execute("ATTACH ? AS decided", (str(self.decisions.path),))
                yield db
        except sqlite3.Error as error:
            raise RunError(
                f"{self.path}: cannot be read: {error}: start `shenhe review` again"
            ) from error


def _find_failed_photos(db: sqlite3.Connection, key: str) -> list[str]:
    """List the photos of a group whose Stage-A failed; empty if they no longer exist."""
    cells = db.execute("SELECT item FROM failed WHERE key = ?", (key,)).fetchone()
    if cells is None or not is_photo(cells[0]):
        return []
    try:
        return [location_text(photo) for photo in list_photos(locate(cells[0]).parent)]
    except IntakeError:
        return []


def _to_entry(cells: Sequence[object]) -> QueueEntry:
    return QueueEntry._make(cells)._replace(overrules=bool(cells[-1]))
