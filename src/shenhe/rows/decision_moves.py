"""Decisions on groups that have since moved to another label folder.

A group's key names its label. A decision on a group that is not in its run now is one on the group
of the same mission and id under another label, where that is the only one and has the same photos.
Of such a decision and one of the group's own, the later one counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from shenhe.rows.decision_rows import Decision, Judgement, from_cells
from shenhe.rows.decision_tables import SELECT
from shenhe.values import Label, group_key

Judged = TypeVar("Judged", bound=Judgement)
_LABELS: Final[tuple[Label | None, ...]] = ("pass", "fail", None)
_CHOSEN: Final = "SELECT key, number FROM current WHERE choice IS NOT NULL ORDER BY number"
_OWN: Final = "SELECT number FROM current WHERE key = ? AND choice IS NOT NULL"


class Moves(NamedTuple):
    """Present keys of the groups that decisions are on, by the numbers of these decisions.

    `replaced` are the numbers of earlier decisions on such groups, which count no more.
    """

    keys: Mapping[int, str]
    replaced: frozenset[int]


class BlindDecision(NamedTuple):
    """A blind decision on a group, and the key by which the audit drew that: one it may have had.

    Example:
        number = plan.number(blind.drawn_key)

    """

    decision: Decision
    drawn_key: str


NO_MOVES: Final = Moves({}, frozenset())


def select_moves(db: sqlite3.Connection, inputs: Mapping[str, str | None]) -> Moves:
    """Find the present decisions on groups that have moved, by the photos of the groups of a run.

    Raises: sqlite3.Error; ValueError for a cell that no shenhe wrote.
    """
    absent = [number for key, number in db.execute(_CHOSEN) if key not in inputs]

    def number_of(key: str) -> int | None:
        cells = db.execute(_OWN, (key,)).fetchone()
        return int(cells[0]) if cells else None

    rows = (db.execute(f"{SELECT} WHERE number = ?", (number,)).fetchone() for number in absent)
    return find_moves((from_cells(row) for row in rows if row), inputs, number_of)


def follow_blind(
    decisions: Iterable[Decision], inputs: Mapping[str, str | None]
) -> Iterator[BlindDecision]:
    """Yield the last blind decision on each group, of decisions in the order of their numbers."""
    latest: dict[str, BlindDecision] = {}
    for decision in decisions:
        is_absent = inputs and decision.key not in inputs
        key = _find_present_key(decision, inputs) if is_absent else None
        given = give_to(decision, key) if key else decision
        latest[given.key] = BlindDecision(given, decision.key)
    yield from sorted(latest.values(), key=lambda blind: blind.decision.number)


def find_moves(
    absent: Iterable[Decision],
    inputs: Mapping[str, str | None],
    number_of: Callable[[str], int | None],
) -> Moves:
    """Find which decisions on groups that are not in their run are on groups that are.

    `number_of` gives the number of a group's own decision.
    """
    followers: dict[str, list[int]] = {}
    for decision in absent:
        key = _find_present_key(decision, inputs)
        if key is not None:
            followers.setdefault(key, []).append(decision.number)
    keys, replaced = {}, set()
    for key, numbers in followers.items():
        own = number_of(key)
        *earlier, last = sorted([*numbers, *([own] if own else [])])
        replaced.update(earlier)
        if last != own:
            keys[last] = key
    return Moves(keys, frozenset(replaced))


def _find_present_key(decision: Decision, inputs: Mapping[str, str | None]) -> str | None:
    if decision.inputs is None:
        return None
    keys = [key for key in label_keys(decision.mission, decision.group_id) if key in inputs]
    return keys[0] if len(keys) == 1 and inputs[keys[0]] == decision.inputs else None


def label_keys(mission: str, group_id: str) -> Sequence[str]:
    """Give the keys that a group has under each label, and without one."""
    return [group_key(mission, label, group_id) for label in _LABELS]


def give_to(decision: Judged, key: str) -> Judged:
    """Give a judgement as one on the group with another key, the same but for its label.

    What was said of the former label says nothing of the one that it has now.
    """
    label = _LABELS[label_keys(decision.mission, decision.group_id).index(key)]
    opinion = decision.opinion
    said = opinion.model_copy(update={"label_wrong": False}) if opinion else None
    return decision.model_copy(update={"key": key, "label": label, "opinion": said})
