"""The queue of the blind audit: drawn groups in the order of their draw, for one reviewer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple

from shenhe.rows.audits import AuditPlan
from shenhe.rows.decision_rows import DEFERRED
from shenhe.rows.decision_tables import STANDS

BlindState = Literal["open", "deferred", "decided", "seen"]
"""Whether a group waits for a reviewer: `seen` groups wait for somebody else, since this reviewer
has decided them with the verdict before them."""
_BLIND = (
    "c.audit IS NOT NULL AND c.undoes IS NULL AND c.said IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM decided.decisions u WHERE u.undoes = c.number)"
)
"""`Decisions.audited` in SQL, on a row `c` of decided.decisions."""
_KEYS = "(SELECT g.key UNION ALL SELECT m.key FROM moved m WHERE m.number = g.number)"
"""The keys of a group, and those that it had under other labels when people decided it."""
_CHOICE = (
    "(SELECT json_extract(c.said, '$.choice') FROM decided.decisions c"
    f" WHERE c.key IN {_KEYS} AND {_BLIND}"
    f" AND {STANDS} AND (c.key = g.key OR c.inputs IS NOT NULL) ORDER BY c.number DESC LIMIT 1)"
)
_SEEN = (
    f"EXISTS (SELECT 1 FROM decided.decisions o WHERE o.key IN {_KEYS}"
    " AND o.reviewer = :reviewer AND o.audit IS NULL AND o.undoes IS NULL)"
)
_STATE = (
    f"CASE WHEN {_CHOICE} <> '{DEFERRED}' THEN 'decided' WHEN {_SEEN} THEN 'seen'"
    f" WHEN {_CHOICE} IS NOT NULL THEN 'deferred' ELSE 'open' END"
)
_DRAWN = "audits q CROSS JOIN groups g ON g.number = q.number AND q.draw < :share"
_TOUCHED = (
    "(SELECT ifnull((SELECT k.number FROM groups k WHERE k.key = d.key),"
    " (SELECT m.number FROM moved m WHERE m.key = d.key)) AS number FROM"
    " (SELECT key FROM decided.decisions WHERE audit IS NOT NULL UNION SELECT key"
    " FROM decided.decisions WHERE reviewer = :reviewer AND audit IS NULL AND undoes IS NULL) d"
    " GROUP BY 1) t CROSS JOIN groups g ON g.number = t.number"
    " CROSS JOIN audits q ON q.number = g.number AND q.draw < :share"
)
"""Drawn groups that anybody decided blind, or the reviewer openly: all others are open."""
Connect = Callable[[], AbstractContextManager[sqlite3.Connection]]


class AuditEntry(NamedTuple):
    """A drawn group; `ticket` is its address, which tells nothing of it.

    Example:
        entry = queue.following("李工")
        address = f"/audit/{entry.ticket}" if entry else "/audit"

    """

    rank: int
    number: int
    ticket: str
    group_id: str
    mission: str
    state: BlindState
    key: str


class AuditProgress(NamedTuple):
    """Number of drawn groups, and how many of them are decided, deferred, or for somebody else.

    Example:
        progress = queue.progress("李工")
        progress.groups - progress.decided - progress.seen  # what this reviewer may look at

    """

    groups: int
    decided: int
    deferred: int
    seen: int


class AuditQueue:
    """The groups that a plan draws of those that the machine passed.

    Example:
        queue = Index(Path("out"), audit_share=0.05).audit

    """

    def __init__(self, connect: Connect, plan: AuditPlan) -> None:
        """Read the queue over connections to the index of a run."""
        self._connect, self.plan = connect, plan

    def page(self, reviewer: str, after: int = 0, count: int = 50) -> list[AuditEntry]:
        """List drawn groups after a rank."""
        return self._select(reviewer, "q.rank > :rank", "q.rank LIMIT :count", after, count)

    def find(self, reviewer: str, ticket: str) -> AuditEntry | None:
        """Find a drawn group by its ticket; None for an unknown one, or one that is not drawn."""
        entries = self._select(reviewer, "q.ticket = :ticket", "1", ticket=ticket)
        return next(iter(entries), None)

    def find_number(self, reviewer: str, number: int) -> AuditEntry | None:
        """Find a drawn group by its number in the index; None if it is not drawn."""
        return next(iter(self._select(reviewer, "q.number = :rank", "1", number)), None)

    def following(
        self, reviewer: str, rank: int = 0, without: Collection[str] = ()
    ) -> AuditEntry | None:
        """Find the next group that waits for a reviewer, from the start again after the last.

        Groups whose keys are in `without` are passed over, as those that others have open.
        """
        for after in (rank, 0):
            bound = (
                f"q.rank > :rank AND {_STATE} = 'open'"
                " AND g.key NOT IN (SELECT value FROM json_each(:without))"
            )
            if entries := self._select(reviewer, bound, "q.rank LIMIT 1", after, without=without):
                return entries[0]
        return None

    def progress(self, reviewer: str) -> AuditProgress:
        """Count the drawn groups by their state."""
        values = {"share": self.plan.share, "reviewer": reviewer}
        with self._connect() as db:
            (groups,) = db.execute(
                "SELECT count(*) FROM audits WHERE draw < :share", values
            ).fetchone()
            counts: dict[str, int] = dict(
                db.execute(f"SELECT {_STATE}, count(*) FROM {_TOUCHED} GROUP BY 1", values)
            )
        numbers = (counts.get(state, 0) for state in ("decided", "deferred", "seen"))
        return AuditProgress(groups, *numbers)

    def _select(
        self,
        reviewer: str,
        bound: str,
        order: str,
        rank: int = 0,
        count: int = 1,
        ticket: str = "",
        without: Collection[str] = (),
    ) -> list[AuditEntry]:
        values: dict[str, object] = {
            "share": self.plan.share,
            "reviewer": reviewer,
            "rank": rank,
            "count": count,
            "ticket": ticket,
            "without": json.dumps(list(without)),
        }
        with self._connect() as db:
            rows = db.execute(
                f"SELECT q.rank, q.number, q.ticket, g.group_id, g.mission, {_STATE}, g.key"
                f" FROM {_DRAWN} WHERE {bound} ORDER BY {order}",
                values,
            ).fetchall()
        return [AuditEntry._make(cells) for cells in rows]
