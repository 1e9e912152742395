"""Queries on the index of a run, together with the decisions of people."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

from shenhe.database import Database
from shenhe.errors import RunError
from shenhe.intake import list_photos_beside
from shenhe.locations import location_text
from shenhe.review.index.answers import Answers
from shenhe.review.index.audits import AuditQueue
from shenhe.review.index.builder import build, is_current
from shenhe.review.index.changes import Change, changes_since, count_outdated
from shenhe.review.index.comparison import Comparison
from shenhe.review.index.counts import Counts
from shenhe.review.index.filters import Filters
from shenhe.review.index.groups import GroupRows, History, Progress, QueueEntry
from shenhe.review.index.moments import follow_once
from shenhe.review.index.owners import note_owners
from shenhe.review.index.paging import Cursor, Pager
from shenhe.review.index.pairs import read_acts
from shenhe.review.index.scopes import Scope, scope_of
from shenhe.review.index.seconds import SecondQueue
from shenhe.review.index.sources import find_sources
from shenhe.row_types import CaptionRow, SummaryRow, VerdictRow
from shenhe.rows.audits import plan_audit, read_audit_plan
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from shenhe.rows.photo_marks import read_uses
from shenhe.rows.readers import read_at
from shenhe.rows.second_plans import SecondPlan
from shenhe.team import Claims, SecondOpinions, SharedDecisions, open_database
from shenhe.team.assignments import AssignmentStore
from shenhe.team.work import Act


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
        self.run_dir, self._database = run_dir, database
        self.decisions = (
            SharedDecisions(run_dir, database)
            if database and database.is_shared
            else Decisions(run_dir)
        )
        self.path = self.decisions.path.with_name("index.sqlite")
        self.second: SecondQueue | None = None
        plan = plan_audit(run_dir, audit_share) if audit_share else read_audit_plan(run_dir)
        try:
            if not is_current(self.path, sources, plan):
                build(self.path, sources, plan)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}") from error
        self._answers = Answers(self.path, self.decisions)
        self.audit = AuditQueue(self._answers.reading, plan) if plan else None
        self.counts = Counts(self._answers)
        self._pager = Pager(self._answers, plan.share if plan else -1.0)

    def review_twice(self, plan: SecondPlan, opinions: SecondOpinions) -> None:
        """Have a second person judge decided groups, as a plan draws them.

        Raises: RunError if the index cannot be written.
        """
        self.second = SecondQueue(self._connect, self.path, plan, opinions)
        self._answers.review_twice(plan.draws_decision)

    def acts(self) -> list[Act]:
        """List what people did, but for second opinions.

        Raises: RunError if the decisions cannot be read.
        """
        with self._connect() as db:
            return read_acts(db)

    def scope_of(self, name: str) -> Scope | None:
        """Give the groups that belong to a person; None where nobody is assigned anything.

        Raises: RunError if the assignments or the rows cannot be read.
        """
        rules = self.assignments.in_force()
        if rules.is_empty:
            return None
        note_owners(self.path, self.run_dir, rules.region_field)
        return scope_of(rules, name)

    @cached_property
    def assignments(self) -> AssignmentStore:
        """Which groups belong to which people."""
        return AssignmentStore(self.database)

    @cached_property
    def database(self) -> Database:
        """What the reviewers of the run share; SQLite's file is made by its first use."""
        return self._database or open_database(self.run_dir)

    @cached_property
    def claims(self) -> Claims:
        """Who has which group open."""
        return Claims(self.database)

    def missions(self) -> list[str]:
        """List the missions of the run."""
        return list(self.counts.by_mission())

    def page(
        self,
        filters: Filters,
        after: int = 0,
        count: int = 50,
        *,
        decision: int = 0,
        backwards: bool = False,
    ) -> list[QueueEntry]:
        """List groups of the queue in its order, after a group or, backwards, before it.

        Where decisions order them, `decision` is the one that the group had on the earlier page.
        """
        return self._pager.page(filters, Cursor(after, decision), count, backwards=backwards)

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
        filters = filters.only_open if open_only else filters
        cursor = self._cursor_at(filters, number)
        return next(iter(self._pager.page(filters, cursor, 1, without=without)), None)

    def preceding(self, filters: Filters, number: int) -> QueueEntry | None:
        """Find the previous group of the queue; None at the beginning."""
        cursor = self._cursor_at(filters, number)
        return next(iter(self._pager.page(filters, cursor, 1, backwards=True)), None)

    def entry(self, number: int) -> QueueEntry | None:
        """Find the entry of a group; None for an unknown number."""
        return self._pager.find("g.number = :value", number)

    def progress(self, filters: Filters) -> Progress:
        """Count the groups that match the filters, whatever their state."""
        return self.counts.progress(filters)

    def last_answers(self, filters: Filters, count: int) -> list[bool]:
        """List the last answers to the question of a queue, whether they are against, newest first.

        待定 is no answer.
        """
        return self.counts.last_answers(filters, count)

    def count_matching(self, filters: Filters) -> int:
        """Count the groups that match the filters."""
        return self.counts.matching(filters)

    def last_decision(self) -> int:
        """Give the number of the last decision of anybody; 0 where there is none."""
        with self._answers.reading():
            return self._answers.followed

    def changes(self, after: int, viewer: str = "") -> list[Change]:
        """List the groups that were decided after a decision, the last one first."""
        return changes_since(self._answers, after, viewer)

    def current_decisions(self) -> Iterator[Decision]:
        """Yield the last decision on each group, in the order in which they were made."""
        with self._connect() as db:
            inputs = dict(db.execute("SELECT key, inputs FROM groups").fetchall())
        return self.decisions.all_current(inputs)

    def history(self, entry: QueueEntry) -> History:
        """Give the decisions on a group, also those of before it moved to another label.

        Raises: RunError if the decisions cannot be read.
        """
        former = map(self.decisions.history, self._answers.former_keys(entry.number))
        return History.of(entry, self.decisions.history(entry.key), former)

    def count_outdated(self) -> int:
        """Count the groups that were decided on photos that have changed since, and are open."""
        return count_outdated(self._answers)

    def group(self, number: int) -> GroupRows | None:
        """Read the rows of a group from their files; None for an unknown number.

        Raises: RunError if the rows have changed since the index was built.
        """
        return self._read_group(self._pager.find("g.number = :value", number))

    def group_of(self, key: str) -> GroupRows | None:
        """Read the rows of the group that has a key, or had it under another label.

        Raises: RunError if the rows have changed since the index was built.
        """
        number = self._answers.number_of(key)
        return None if number is None else self.group(number)

    def group_by_key(self, key: str) -> GroupRows | None:
        """Read the rows of a group from their files; None for an unknown key.

        Raises: RunError if the rows have changed since the index was built.
        """
        return self._read_group(self._pager.find("g.key = :value", key))

    def beside(self, other: Index) -> Comparison:
        """Compare the run with another one on the same groups."""
        return Comparison(self._connect, other.path)

    def _read_group(self, entry: QueueEntry | None) -> GroupRows | None:
        if entry is None:
            return None
        with self._connect() as db:
            cells = db.execute(
                "SELECT verdict_file, verdict_at, summary_file, summary_at, uses"
                " FROM groups WHERE key = ?",
                (entry.key,),
            ).fetchone()
            files = dict(db.execute("SELECT number, path FROM files").fetchall())
            verdict_file, verdict_offset, summary_file, summary_offset, uses = cells
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

    def _cursor_at(self, filters: Filters, number: int) -> Cursor:
        is_timed = filters.sort.removeprefix("-") == "decided"
        entry = self.entry(number) if is_timed else None
        return Cursor(number, entry.decision if entry else 0)

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
    photos = list_photos_beside(cells[0]) if cells else ()
    return [location_text(photo) for photo in photos]
