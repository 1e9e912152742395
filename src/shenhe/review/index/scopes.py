"""The groups that belong to a person by the assignments of a run, as a condition in SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from shenhe.team.assignments import Assignments
from shenhe.team.shares import buckets_of


class Scope(NamedTuple):
    """The groups that belong to a person: a condition in SQL on `g`, and its parameters.

    `field` is that of the region, of which the index has a column.
    """

    field: str
    condition: str
    values: tuple[tuple[str, str], ...]


def scope_of(rules: Assignments, name: str) -> Scope:
    """Give the groups that belong to a person, and those that are anybody's."""
    values = {
        "own_missions": json.dumps(list(rules.missions)),
        "own_regions": json.dumps(list(rules.regions)),
    }
    beside = "g.mission NOT IN (SELECT value FROM json_each(:own_missions))"
    rest_of = f"{beside} AND o.region NOT IN (SELECT value FROM json_each(:own_regions))"
    parts = _rules(rules.missions, name, "g.mission", "1", values)
    parts += _rules(rules.regions, name, "o.region", beside, values)
    if name in rules.share or not rules.share:
        parts.append(f"({rest_of}{_shared(rules.share, name, 'own_share', values)})")
    condition = " OR ".join(parts) or "0"
    owners = f"SELECT 1 FROM owners o WHERE o.number = g.number AND ({condition})"
    return Scope(rules.region_field, f"EXISTS ({owners})", tuple(sorted(values.items())))


def _rules(
    rules: Mapping[str, tuple[str, ...]],
    name: str,
    column: str,
    beside: str,
    values: dict[str, str],
) -> list[str]:
    """Write the rules that name a person as conditions."""
    shared_by: dict[tuple[str, ...], list[str]] = {}
    for value, people in rules.items():
        if name in people:
            shared_by.setdefault(tuple(sorted(set(people))), []).append(value)
    parts = []  # one for all that the same people share: SQLite's conditions are of a limited depth
    for number, (people, own) in enumerate(shared_by.items()):
        parameter = f"own_{column[2:]}_{number}"
        values[parameter] = json.dumps(own)
        listed = f"{column} IN (SELECT value FROM json_each(:{parameter}))"
        shared = _shared(people, name, f"{parameter}_share", values)
        parts.append(f"({beside} AND {listed}{shared})")
    return parts


def _shared(people: tuple[str, ...], name: str, parameter: str, values: dict[str, str]) -> str:
    """Write the condition of a person's share; empty where all of it is his."""
    if len(set(people)) < 2:
        return ""
    values[parameter] = json.dumps(buckets_of(name, people))
    return f" AND o.bucket IN (SELECT value FROM json_each(:{parameter}))"
