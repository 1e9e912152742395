"""What people have decided since a page was made, and what has changed since they decided."""

from __future__ import annotations

from typing import NamedTuple

from shenhe.review.index.answers import Answers
from shenhe.rows.decision_tables import STANDS
from shenhe.values import PASS

MOST = 500
"""How many of the last decisions are told of: a page that lacks more is out of date altogether."""

_OUTDATED = (
    "SELECT g.number FROM decided.current c JOIN groups g USING (key)"
    f" WHERE c.choice IS NOT NULL AND NOT {STANDS}"
)
_MOVED_AND_OUTDATED = (
    "SELECT m.number FROM moved m JOIN decided.current c USING (key)"
    " JOIN decided.decisions d ON d.number = c.number"
    " WHERE c.choice IS NOT NULL AND d.inputs IS NOT NULL"
)
_COUNT_OUTDATED = (
    f"SELECT count(*) FROM ({_OUTDATED} UNION {_MOVED_AND_OUTDATED})"
    " WHERE number NOT IN (SELECT number FROM answers)"
)


class Change(NamedTuple):
    """What was done last with a group; `choice` is None where no decision is left.

    `reviewer` and `at` are of whoever did it. After an undo `holder` is who decided what holds
    again; empty otherwise.

    Example:
        for change in index.changes(after=120):
            print(change.group_id, change.reviewer, change.choice)

    """

    number: int
    group_id: str
    decision: int
    reviewer: str
    at: str
    choice: str | None
    overrules: bool
    holder: str


def changes_since(answers: Answers, after: int, viewer: str = "") -> list[Change]:
    """List the groups that were decided after a decision, the last one first.

    Those are left out of which a viewer must not know, who may be asked for a second opinion.
    """
    with answers.reading() as db:
        bound = max(after, answers.followed - MOST)
        rows = db.execute(
            # The other columns are those of the row with the greatest number.
            "SELECT g.number, g.group_id, max(d.number), d.reviewer, d.at, c.choice,"
            " ifnull(c.overrules, 0), CASE WHEN d.undoes IS NULL THEN '' ELSE"
            " ifnull(c.reviewer, '') END,"
            " d.undoes IS NOT NULL AND :viewer <> '' AND d.reviewer <> :viewer"
            f" AND drawn_twice(g.key, '{PASS}')"
            " FROM decided.decisions d"
            # What is done about a group that has moved to another label is done about that one.
            " JOIN groups g ON g.number = ifnull((SELECT k.number FROM groups k"
            " WHERE k.key = d.key), (SELECT m.number FROM moved m WHERE m.key = d.key))"
            " LEFT JOIN answers c ON c.number = g.number"
            " WHERE d.number > :bound AND (:viewer = '' OR c.number IS NULL OR NOT c.drawn"
            " OR c.reviewer = :viewer) GROUP BY g.number ORDER BY 3 DESC",
            {"bound": bound, "viewer": viewer},
        ).fetchall()
    # What others took back is told to nobody who may be asked about the group later.
    return [
        Change._make(cells)._replace(overrules=bool(cells[-2]))
        for *cells, is_hidden in rows
        if not is_hidden
    ]


def count_outdated(answers: Answers) -> int:
    """Count the groups that were decided on photos that have changed since, and are open."""
    with answers.reading() as db:
        return int(db.execute(_COUNT_OUTDATED).fetchone()[0])
