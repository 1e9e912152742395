"""The whole audit trail of a run in the order of time: what was judged, and what was done."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from shenhe.review.index import Index
from shenhe.rows.sheets import safe_cell
from shenhe.team import SecondOpinions
from shenhe.team.events import Events

TRAIL_COLUMNS = {
    "at": 28,
    "kind": 20,
    "number": 10,
    "by": 16,
    "about": 24,
    "mission": 26,
    "choice": 10,
    "fault": 24,
    "comment": 48,
    "detail": 48,
}
"""Columns of the sheet of the trail. Units: characters."""
EVERYTHING = 2**31 - 1


def whole_trail(index: Index, opinions: SecondOpinions, events: Events) -> list[dict[str, object]]:
    """List all decisions, second opinions and acts as objects, each with its kind.

    Raises: RunError if they cannot be read.
    """
    rows = [
        *({"kind": "decision"} | _dump(row) for row in index.decisions.trail(None, EVERYTHING)),
        *({"kind": "second_opinion"} | _dump(row) for row in opinions.trail(None, EVERYTHING)),
        *(event.model_dump(mode="json") for event in events.all()),
    ]
    return sorted(rows, key=itemgetter("at"))


def trail_cells(rows: Iterable[dict[str, object]]) -> list[list[str]]:
    """Write the cells of the sheet of the trail."""
    return [list(map(safe_cell, _cells(row))) for row in rows]


def _dump(row: object) -> dict[str, object]:
    fields: dict[str, object] = row.model_dump(mode="json", by_alias=True)  # type: ignore[attr-defined]
    return fields


def _cells(row: dict[str, object]) -> list[object]:
    opinion = row.get("said")
    said = opinion if isinstance(opinion, dict) else {}
    detail = {**_mapping(row.get("detail")), **_mapping(said.get("adjudicates"))}
    if row.get("undoes"):
        detail["undoes"] = row["undoes"]
    if row.get("first"):
        detail["second_opinion_on"] = row["first"]
    return [
        *(row["at"], row["kind"], row["number"], row.get("reviewer", row.get("actor"))),
        *(row.get("group_id", row.get("about")), row.get("mission")),
        *(said.get("choice"), said.get("fault"), said.get("comment")),
        "; ".join(f"{name}: {value}" for name, value in detail.items()),
    ]


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
