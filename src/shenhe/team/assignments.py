"""Assignments: which groups belong to which people, by mission, by region, or by share.

The rules of a group's mission count before those of its region, and these before the shares. Where
several people have a rule, they share its groups. What nobody is assigned is anybody's.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from shenhe.config.missions import normalize_name
from shenhe.database import Database
from shenhe.errors import ConfigError
from shenhe.team.account_rows import ACCOUNTS
from shenhe.team.database import METADATA
from shenhe.team.events import Events

REGION: Final = "region"
"""The field of another tool's rows that is the region of a group, unless a lead names another."""
MAX_REGION: Final = 200
"""Length of the longest region, and of the longest name of its field. Units: characters."""
MAX_BYTES: Final = 1_000_000
"""Size of the largest file of rules."""
MAX_SHOWN: Final = 80
KEYS: Final = ("region_field", "share", "missions", "regions")
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

    @property
    def digest(self) -> str:
        """What tells these rules from others."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def without(self, people: Collection[str]) -> Assignments:
        """Give the rules that are left without some people.

        What nobody else is assigned is anybody's.
        """

        def keep(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in names if name not in people)

        missions, regions = (
            {value: kept for value, names in rules.items() if (kept := keep(names))}
            for rules in (self.missions, self.regions)
        )
        return replace(self, missions=missions, regions=regions, share=keep(self.share))

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
        """Read the rules as they were given.

        Raises: RunError if the database cannot be read.
        """
        query = select(PLANS.c.plan).where(PLANS.c.run == self._database.run)
        with self._database.reading() as connection:
            return read_assignments(connection.execute(query).scalar_one_or_none() or "{}")

    def in_force(self) -> Assignments:
        """Read the rules for those who can work: nobody waits for an account that is disabled.

        Raises: RunError if the database cannot be read.
        """
        rules = self.read()
        if rules.is_empty:
            return rules
        query = select(ACCOUNTS.c.name).where(ACCOUNTS.c.is_active.is_(False))
        with self._database.reading() as connection:
            return rules.without(set(connection.execute(query).scalars()))

    def write(self, rules: Assignments, by: str, seen: str | None = None) -> bool:
        """Put rules in force, in the place of those before.

        `seen` is the digest of those that `by` has seen. Where others are in force meanwhile,
        nothing is written, unless they are the same as these.
        Returns: whether the rules are in force.
        Raises: RunError if the database cannot be written.
        """
        text, run = rules.to_json(), self._database.run
        with self._database.alone(f"assignments {run}") as connection:
            if (stored := _stored(connection, run)) == text:
                return True
            if seen not in (None, read_assignments(stored or "{}").digest):
                return False
            connection.execute(delete(PLANS).where(PLANS.c.run == run))
            connection.execute(insert(PLANS).values(run=run, plan=text))
            Events(self._database).record(connection, "assignments_changed", by, rules=text)
        return True


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


def load_assignments(
    path: Path, names: Collection[str], missions: Iterable[str] = ()
) -> Assignments:
    """Read rules from a TOML file: `region_field`, `share`, `[missions]`, `[regions]`.

    `missions` are those of the run, whose names may be written with brackets of either width.

    Raises: ConfigError for a file that cannot be read, another key, a mission that stands twice, or
    a name of no account.
    """
    fields = _read_toml(path)
    for name in fields:
        if name not in KEYS:
            raise ConfigError(
                f"{path}: {name[:MAX_SHOWN]}: no key of assignments: {', '.join(KEYS)}"
            )
    region_field = fields.get("region_field", REGION)
    words = region_field.split() if isinstance(region_field, str) else []
    if not 0 < len(" ".join(words)) <= MAX_REGION:
        raise ConfigError(f"{path}: {_shown(region_field)}: no name of a field")
    share = _read_people(path, fields.get("share", []), names)
    tables = [_read_table(path, fields.get(kind, {}), names) for kind in KEYS[2:]]
    return Assignments(" ".join(words), _spell(path, tables[0], missions), tables[1], share)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: cannot be read: over {MAX_BYTES} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _read_table(path: Path, table: object, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {_shown(table)}: give a list of names")
    lists = {value: _read_people(path, people, names) for value, people in table.items()}
    return {value: people for value, people in lists.items() if people}


def _read_people(path: Path, people: object, names: Collection[str]) -> tuple[str, ...]:
    if not isinstance(people, list):
        raise ConfigError(f"{path}: {_shown(people)}: give a list of names")
    for name in people:
        if name not in names:
            raise ConfigError(f"{path}: {_shown(name)}: there is no such account")
    return tuple(people)


def _spell(
    path: Path, rules: Mapping[str, tuple[str, ...]], missions: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Write names of missions as the run does."""
    spellings = {normalize_name(name): name for name in missions}
    spelled: dict[str, tuple[str, ...]] = {}
    for name, people in rules.items():
        spelling = spellings.get(normalize_name(name), name)
        if spelling in spelled:
            raise ConfigError(f"{path}: {_shown(name)}: the mission stands twice")
        spelled[spelling] = people
    return spelled


def _shown(value: object) -> str:
    return str(value)[:MAX_SHOWN]


def _stored(connection: Connection, run: str) -> str | None:
    text: str | None = connection.execute(
        select(PLANS.c.plan).where(PLANS.c.run == run)
    ).scalar_one_or_none()
    return text
