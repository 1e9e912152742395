"""What two people said of the same group, and what everybody did, from the decisions of a run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from shenhe.rows.decision_moves import give_to
from shenhe.rows.decision_queries import sign_by_author
from shenhe.rows.decision_rows import Decision, from_cells
from shenhe.rows.decision_tables import SELECT
from shenhe.team.second_opinions import SecondOpinion
from shenhe.team.work import Act

_NUMBERED = f"{SELECT} WHERE number IN (SELECT value FROM json_each(?))"
_CURRENT = (
    f"{SELECT} WHERE number IN (SELECT c.number FROM decided.current c"
    " WHERE c.key IN (SELECT value FROM json_each(?)))"
)
_UNDONE = "SELECT undoes FROM decided.decisions WHERE undoes IN (SELECT value FROM json_each(?))"
_INPUTS = "SELECT key, inputs FROM groups WHERE key IN (SELECT value FROM json_each(?))"
_OF_ID = "SELECT key, inputs FROM groups WHERE group_id = ? AND mission = ?"
_ACTS = (
    "SELECT d.reviewer, d.at, CASE WHEN d.audit IS NULL THEN 'decision' ELSE 'audit' END,"
    " d.verdict IS NOT NULL AND json_extract(d.said, '$.choice') NOT IN ('待定', d.verdict),"
    " EXISTS (SELECT 1 FROM decided.decisions u WHERE u.undoes = d.number)"
    " FROM decided.decisions d WHERE d.undoes IS NULL AND d.said IS NOT NULL"
)


class TwoOpinions(NamedTuple):
    """A decision and the second opinion on its group, with the decision that is current now.

    `is_undone` says that the first one was taken back, `stands` that the photos are those of the
    second one.

    Example:
        [pair for pair in queue.pairs() if pair.is_disputed]

    """

    first: Decision
    second: SecondOpinion
    current: Decision | None
    is_undone: bool
    stands: bool

    @property
    def is_disputed(self) -> bool:
        """Whether the present decision is another one, by another person, and a lead has to say."""
        now, second = self.current, self.second.opinion
        if now is None or now.opinion is None or second is None or not self.stands:
            return False
        is_open = now.opinion.adjudicates is None and now.reviewer != self.second.reviewer
        return is_open and now.opinion.choice != second.choice and now.stands_on(self.second.inputs)


def read_pairs(
    db: sqlite3.Connection, standing: Mapping[str, list[SecondOpinion]]
) -> list[TwoOpinions]:
    """List second opinions with the decisions that they are on, in the order of their keys.

    Those on groups that have moved to another label, with the same photos, are given as on these.
    Raises: sqlite3.Error.
    """
    seconds = [opinion for each in standing.values() for opinion in each]
    numbers = json.dumps([opinion.first for opinion in seconds])
    inputs = dict(db.execute(_INPUTS, (json.dumps(list(standing)),)).fetchall())
    moved = {
        opinion.number: key
        for opinion in seconds
        if opinion.key not in inputs and (key := _find_moved(db, opinion))
    }
    inputs |= {moved[each.number]: each.inputs for each in seconds if each.number in moved}
    keys = json.dumps([*standing, *moved.values()])
    firsts = _decisions_by(db, _NUMBERED, numbers)
    now = {decision.key: decision for decision in _decisions_by(db, _CURRENT, keys).values()}
    undone = {number for (number,) in db.execute(_UNDONE, (numbers,))}
    pairs = []
    for opinion in seconds:
        if opinion.first in firsts:
            key = moved.get(opinion.number, opinion.key)
            current = now.get(key)
            if key != opinion.key:
                current = _later(current, now.get(opinion.key), key)
            second = give_to(opinion, key) if key != opinion.key else opinion
            is_undone, stands = opinion.first in undone, opinion.stands_on(inputs.get(key))
            pairs.append(TwoOpinions(firsts[opinion.first], second, current, is_undone, stands))
    return sorted(pairs, key=lambda pair: pair.second.key)


def _find_moved(db: sqlite3.Connection, opinion: SecondOpinion) -> str | None:
    """Find the key of the group that the one of an opinion has become: see `decision_moves`."""
    groups = db.execute(_OF_ID, (opinion.group_id, opinion.mission)).fetchall()
    is_known = opinion.inputs is not None and len(groups) == 1
    return str(groups[0][0]) if is_known and groups[0][1] == opinion.inputs else None


def _later(own: Decision | None, former: Decision | None, key: str) -> Decision | None:
    """Give the later of a group's own decision and one under a former key; those taken back do not
    count.
    """
    chosen = [each for each in (own, former) if each is not None and each.opinion is not None]
    last = max(chosen, key=lambda each: each.number, default=None)
    return give_to(last, key) if last is not None and last is former else last


def _decisions_by(db: sqlite3.Connection, query: str, value: str) -> dict[int, Decision]:
    """Give decisions by their numbers; one that holds again is that of whoever made it."""
    rows = map(from_cells, db.execute(query, (value,)).fetchall())
    return {decision.number: sign_by_author(db, decision) for decision in rows}


def read_acts(db: sqlite3.Connection) -> list[Act]:
    """List all decisions as what people did; those that take one back count with that one."""
    rows = db.execute(_ACTS).fetchall()
    return [
        Act(reviewer, at, kind, bool(overrules), bool(undone))
        for reviewer, at, kind, overrules, undone in rows
    ]
