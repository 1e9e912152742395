"""Assignments: which groups belong to which people, by mission, by region, or by share.

The rules of a group's mission count before those of its region, and these before the shares. Where
several people have a rule, they share its groups. What nobody is assigned is anybody's.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from shenhe.database import Database
from shenhe.errors import ConfigError
from shenhe.team.database import METADATA
from shenhe.team.events import Events

REGION: Final = "region"
"""The field of another tool's rows that is the region of a group, unless a lead names another."""
PLANS: Final = Table(
    "team_assignments",
    METADATA,
    Column("run", String(64), primary_key=True),
    Column("plan", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Assignments:
    """Rules of a run: people by mission, by region, and those who share all else.

    `region_field` names the field of rows with a group's region; `group_id:N` is a part of its id.

    Example:
        rules = Assignments(missions={"挡风板安装检查": ("李工",)}, share=("王工", "张工"))

    """

    region_field: str = REGION
    missions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    share: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is assigned anything."""
        return not (self.missions or self.regions or self.share)

    def to_json(self) -> str:
        """Write the rules as JSON."""
        fields = {"region_field": self.region_field, "missions": dict(self.missions)}
        rules = fields | {"regions": dict(self.regions), "share": self.share}
        return json.dumps(rules, ensure_ascii=False)


class AssignmentStore:
    """The assignments of a run.

    Example:
        AssignmentStore(database).read().share  # ("李工", "王工")

    """

    def __init__(self, database: Database) -> None:
        """Read and write the assignments of a run."""
        self._database = database

    def read(self) -> Assignments:
        """Read the rules that are in force.

        Raises: RunError if the database cannot be read.
        """
        query = select(PLANS.c.plan).where(PLANS.c.run == self._database.run)
        with self._database.reading() as connection:
            return read_assignments(connection.execute(query).scalar_one_or_none() or "{}")

    def write(self, rules: Assignments, by: str) -> None:
        """Put rules in force, in the place of those before.

        Raises: RunError if the database cannot be written.
        """
        text, run = rules.to_json(), self._database.run
        with self._database.alone(f"assignments {run}") as connection:
            if _stored(connection, run) == text:
                return
            connection.execute(delete(PLANS).where(PLANS.c.run == run))
            connection.execute(insert(PLANS).values(run=run, plan=text))
            Events(self._database).record(connection, "assignments_changed", by, rules=text)


def read_assignments(text: str) -> Assignments:
    """Read rules from the JSON that `Assignments.to_json` wrote.

    >>> read_assignments("{}").is_empty
    True
    """
    fields = json.loads(text)
    rules = {
        name: {value: tuple(people) for value, people in fields.get(name, {}).items() if people}
        for name in ("missions", "regions")
    }
    share = tuple(fields.get("share", ()))
    return Assignments(
        fields.get("region_field", REGION), rules["missions"], rules["regions"], share
    )


def load_assignments(path: Path, names: Collection[str]) -> Assignments:
    """Read rules from a TOML file: `region_field`, `share`, `[missions]`, `[regions]`.

    Raises: ConfigError for a file that cannot be read, another key, or a name of no account.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    allowed = ("region_field", "share", "missions", "regions")
    for name in fields:
        if name not in allowed:
            raise ConfigError(f"{path}: {name}: no key of assignments: {', '.join(allowed)}")
    tables = [fields.get(name, {}) for name in allowed[2:]]
    lists = [fields.get("share", [])]
    for table in tables:
        lists += table.values() if isinstance(table, dict) else [table]
    for people in lists:
        if not isinstance(people, list):
            raise ConfigError(f"{path}: {people!r}: give a list of names")
        for name in people:
            if name not in names:
                raise ConfigError(f"{path}: {name}: there is no such account")
    return read_assignments(json.dumps(fields))


def _stored(connection: Connection, run: str) -> str | None:
    text: str | None = connection.execute(
        select(PLANS.c.plan).where(PLANS.c.run == run)
    ).scalar_one_or_none()
    return text
