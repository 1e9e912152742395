"""Inspection missions, and what each of them checks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from shenhe.config.evidence import EvidenceRules, first_error
from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError, UsageError, closest, spelled

BUILT_IN = Path(__file__).with_name("missions.toml")


class Mission(Strict):
    """One mission: `focus` goes into the prompts of both stages, `rule` into Stage-B's.

    `evidence` is what lines must show before a 通过 stands; without it none is asked for.

    Example:
        Mission(name="BBU标签检查", focus="标签", rule="标签可以识别")

    """

    name: str = Field(min_length=1)
    focus: str = Field(min_length=1)
    rule: str = Field(min_length=1)
    evidence: EvidenceRules | None = None

    @field_validator("evidence", mode="wrap")
    @classmethod
    def _name_the_mission(
        cls, value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> EvidenceRules | None:
        try:
            rules: EvidenceRules | None = read(value)
        except ValidationError as error:
            raise ValueError(f"mission {info.data.get('name')!r}: {first_error(error)}") from error
        return rules


class MissionsFile(Strict):
    """A missions file."""

    schema_: Literal[1] = Field(alias="schema")
    mission: list[Mission] = Field(min_length=1)


def normalize_name(name: str) -> str:
    """Normalize a mission name (NFKC), so that full-width and half-width brackets are equal.

    >>> normalize_name("BBU安装方式检查（正装） ")
    'BBU安装方式检查(正装)'
    """
    return unicodedata.normalize("NFKC", name).strip()


@dataclass(frozen=True, slots=True)
class Missions:
    """The missions that are configured, in the order of their files.

    >>> load_missions().get("BBU安装方式检查(正装)").name  # any brackets
    'BBU安装方式检查（正装）'
    """

    all: tuple[Mission, ...]

    def __iter__(self) -> Iterator[Mission]:
        return iter(self.all)

    def find(self, name: str) -> Mission | None:
        """Return the mission of a name, or None."""
        normalized = normalize_name(name)
        return next((m for m in self.all if normalize_name(m.name) == normalized), None)

    def get(self, name: str) -> Mission:
        """Return the mission of a name.

        Raises: UsageError that lists the configured missions.
        """
        if mission := self.find(name):
            return mission
        names = ", ".join(mission.name for mission in self.all)
        match = closest(name, (mission.name for mission in self.all))
        hint = "" if match is None else f"did you mean {match}? "
        remedy = f"{hint}use one of {names}, or add it by {spelled('missions')}"
        raise UsageError(f"unknown mission {name!r}: {remedy}")


def load_missions(extra: Path | None = None) -> Missions:
    """Load the built-in missions, then those of a user's file, which replace equal names.

    Raises: ConfigError for a malformed file, or a name that it holds twice.

        >>> load_missions().get("挡风板安装检查").name
        '挡风板安装检查'
    """
    missions = {normalize_name(m.name): m for m in read_toml(BUILT_IN, MissionsFile).mission}
    if extra is not None:
        names: set[str] = set()
        for mission in read_toml(extra, MissionsFile).mission:
            name = normalize_name(mission.name)
            if name in names:
                raise ConfigError(f"{extra}: mission {mission.name!r} stands twice")
            names.add(name)
            missions[name] = mission
    return Missions(tuple(missions.values()))
