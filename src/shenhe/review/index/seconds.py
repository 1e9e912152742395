"""The queue of second opinions: drawn groups that somebody has decided, for another person."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple

from shenhe.errors import RunError
from shenhe.review.index.audits import Connect
from shenhe.review.index.pairs import TwoOpinions, read_pairs
from shenhe.rows.decision_moves import label_keys
from shenhe.rows.decision_rows import DEFERRED
from shenhe.rows.decision_tables import STANDS
from shenhe.rows.second_plans import SecondPlan
from shenhe.team.second_opinions import SecondOpinion, SecondOpinions

SecondState = Literal["open", "deferred", "decided", "closed", "own"]
"""Whether a group waits for a person: `own` ones wait for another one, `closed` ones for nobody."""
QUICK_SECONDS = 0.05
"""A count that takes no longer is made anew each time."""
_TABLE = """
CREATE TABLE seconds (
    rank INTEGER PRIMARY KEY, draw REAL, number INTEGER UNIQUE, ticket TEXT UNIQUE, seed TEXT
)
"""
_FIRST = (
    f"c.choice IN ({{choices}}) AND {STANDS} AND d.audit IS NULL"
    " AND json_extract(d.said, '$.adjudicates') IS NULL"
)
"""A decision that another person may be asked about: it was made in sight of the model's verdict,
which that person sees too, and not between two opinions."""
_IN_ORDER = (
    "seconds q CROSS JOIN groups g ON g.number = q.number AND q.draw < :share"
    " CROSS JOIN decided.current c ON c.key = g.key"
    " CROSS JOIN decided.decisions d ON d.number = c.number"
)
_BY_DECISIONS = (
    "decided.current c CROSS JOIN groups g ON g.key = c.key"
    " CROSS JOIN seconds q ON q.number = g.number AND q.draw < :share"
    " CROSS JOIN decided.decisions d ON d.number = c.number"
)
"""The same where fewer groups are decided than drawn."""
_DECIDED_BEFORE = (
    "EXISTS (SELECT 1 FROM decided.decisions o WHERE o.key = g.key AND o.reviewer = :reviewer)"
)


class SecondEntry(NamedTuple):
    """A drawn group; `ticket` is its address, `first` the number of the decision on it.

    Example:
        entry = queue.following("王工")
        address = f"/second/{entry.ticket}" if entry else "/second"

    """

    ticket: str
    key: str
    rank: int
    number: int
    group_id: str
    mission: str
    first: int
    state: SecondState


class SecondProgress(NamedTuple):
    """Number of groups that are reviewed twice, of those that were, and of those left to a person.

    Example:
        progress = queue.progress("王工")
        progress.groups - progress.decided  # what is left, for whoever may

    """

    groups: int
    decided: int
    waiting: int


class SecondQueue:
    """Drawn groups with a decision, in the order of their draw.

    Example:
        queue = SecondQueue(index.connect, index.path, plan, opinions)
        queue.following("王工")

    """

    def __init__(
        self, connect: Connect, path: Path, plan: SecondPlan, opinions: SecondOpinions
    ) -> None:
        """Read the queue over connections to the index of a run, in which the draw is noted.

        Raises: RunError if the index cannot be written.
        """
        self._connect, self.plan, self.opinions = connect, plan, opinions
        self._counted: dict[str, tuple[float, SecondProgress | None]] = {}
        try:
            note_draw(path, plan)
        except sqlite3.Error as error:
            raise RunError(f"{path}: cannot be written: {error}") from error

    def page(self, reviewer: str, after: int = 0, count: int = 50) -> list[SecondEntry]:
        """List the groups that a person may judge or has judged, after a rank."""
        entries: list[SecondEntry] = []
        for entry in self._entries(reviewer, "q.rank > :rank", after):
            if entry.state not in ("closed", "own"):
                entries.append(entry)
            if len(entries) == count:
                break
        return entries

    def find(self, reviewer: str, ticket: str) -> SecondEntry | None:
        """Find a drawn group with a decision by its ticket."""
        return next(self._entries(reviewer, "q.ticket = :ticket", ticket=ticket), None)

    def find_number(self, reviewer: str, number: int) -> SecondEntry | None:
        """Find a drawn group with a decision by its number in the index."""
        return next(self._entries(reviewer, "q.number = :rank", number), None)

    def following(
        self, reviewer: str, rank: int = 0, without: Collection[str] = ()
    ) -> SecondEntry | None:
        """Find the next group that waits for a person, from the start again after the last.

        Groups whose keys are in `without` are passed over, as those that others have open.
        """
        for after in (rank, 0):
            for entry in self._entries(reviewer, "q.rank > :rank", after):
                if entry.state == "open" and entry.key not in without:
                    return entry
        return None

    def progress(self, reviewer: str) -> SecondProgress:
        """Count the groups that are reviewed twice."""
        began, (until, kept) = monotonic(), self._counted.get(reviewer, (0.0, None))
        if kept is not None and began < until:
            return kept
        standing = self.opinions.all_standing()
        groups = decided = waiting = 0
        for row in self._rows(reviewer, "1", 0):
            groups += 1
            decided += bool(_beside(row, standing))
            waiting += _state(row, standing, reviewer) in ("open", "deferred")
        progress = SecondProgress(groups, decided, waiting)
        took = monotonic() - began
        # Counting many groups may take a twentieth of the time: what is shown is as old as that.
        until = monotonic() + 20 * took if took > QUICK_SECONDS else 0.0
        self._counted[reviewer] = (until, progress)
        return progress

    def pairs(self, key: str | None = None) -> list[TwoOpinions]:
        """List the groups that two people judged, or one of them, in the order of their keys."""
        standing = self.opinions.all_standing()
        if key is not None:
            mission, _, group_id = key.split("\x1f", 2)
            keys = label_keys(mission, group_id)  # those that it may have had
            standing = {each: standing[each] for each in keys if each in standing}
        with self._connect() as db:
            pairs = read_pairs(db, standing)
        return [pair for pair in pairs if key in (None, pair.second.key)]

    def _entries(
        self, reviewer: str, bound: str, rank: int = 0, ticket: str = ""
    ) -> Iterator[SecondEntry]:
        standing = self.opinions.all_standing()
        for row in self._rows(reviewer, bound, rank, ticket):
            state = _state(row, standing, reviewer)
            yield SecondEntry(*row[:7], state=state)

    def _rows(self, reviewer: str, bound: str, rank: int, ticket: str = "") -> Iterator[_Row]:
        choices = [choice for choice in ("通过", "不通过") if self.plan.concerns(choice)]
        first = _FIRST.format(choices=", ".join(f"'{choice}'" for choice in choices))
        values = {"share": self.plan.share, "reviewer": reviewer, "rank": rank, "ticket": ticket}
        with self._connect() as db:
            count = "SELECT count(*) FROM seconds WHERE draw < :share"
            (drawn,) = db.execute(count, values).fetchone()
            (decided,) = db.execute("SELECT count(*) FROM decided.current").fetchone()
            tables = _BY_DECISIONS if decided < drawn / 4 else _IN_ORDER
            rows = db.execute(
                "SELECT q.ticket, g.key, q.rank, q.number, g.group_id, g.mission, d.number,"
                f" d.reviewer, g.inputs, {_DECIDED_BEFORE} FROM {tables}"
                f" WHERE {bound} AND {first} ORDER BY q.rank",
                values,
            )
            yield from map(_Row._make, rows)


class _Row(NamedTuple):
    """A drawn group with the decision on it, and whether a person has ever decided it."""

    ticket: str
    key: str
    rank: int
    number: int
    group_id: str
    mission: str
    first: int
    first_reviewer: str
    inputs: str | None
    is_own: bool


def _beside(row: _Row, standing: Mapping[str, list[SecondOpinion]]) -> list[SecondOpinion]:
    """List the second opinions on a group that go with the decision on it."""
    return [
        opinion
        for opinion in standing.get(row.key, [])
        if opinion.reviewer != row.first_reviewer and opinion.stands_on(row.inputs)
    ]


def _state(row: _Row, standing: Mapping[str, list[SecondOpinion]], reviewer: str) -> SecondState:
    if row.is_own:
        return "own"
    opinions = {opinion.reviewer: opinion.opinion for opinion in _beside(row, standing)}
    own = opinions.get(reviewer)
    if own is None:
        return "closed" if opinions else "open"
    return "deferred" if own.choice == DEFERRED else "decided"


def note_draw(path: Path, plan: SecondPlan) -> None:
    """Number the groups of an index in the order of their draw, once for a seed.

    Raises: sqlite3.Error.
    """
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        tables = "SELECT count(*) FROM sqlite_master WHERE name = 'seconds'"
        if db.execute(tables).fetchone()[0]:
            row = db.execute("SELECT seed FROM seconds LIMIT 1").fetchone()
            if row is None or row[0] == plan.seed:
                db.execute("COMMIT")
                return
            db.execute("DROP TABLE seconds")
        db.execute(_TABLE)
        groups = db.execute("SELECT number, key FROM groups").fetchall()
        drawn = sorted((plan.number(key), number, plan.ticket(key)) for number, key in groups)
        cells = ((*row, plan.seed) for row in drawn)
        db.executemany(
            "INSERT INTO seconds (draw, number, ticket, seed) VALUES (?, ?, ?, ?)", cells
        )
        db.execute("COMMIT")
