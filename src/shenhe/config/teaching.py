"""What a mission's prompts are given beside the question: written rules, and worked examples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from shenhe.config.missions import Mission, Missions, normalize_name
from shenhe.config.prompts import Example, Prompts, Template
from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError, FormatError, UsageError
from shenhe.formats import summary, verdict
from shenhe.locations import Location, locate_beside, open_location
from shenhe.values import Judgement, Ruling

RULES_HEAD = "检查规则："


class SummaryExample(Strict):
    """A photo and the line that it should get."""

    mission: str
    image: str
    line: str


class VerdictExample(Strict):
    """The lines of a group and the verdict that they should get."""

    mission: str
    lines: dict[str, str] = Field(min_length=1)
    verdict: Ruling
    reason: str


class ExamplesFile(Strict):
    """The form of a file of examples; those of a stage are shown in their order."""

    schema_: Literal[1] = Field(alias="schema")
    summarize: list[SummaryExample] = Field(default_factory=list)
    judge: list[VerdictExample] = Field(default_factory=list)


class Rules(Strict):
    """The written rules of a mission."""

    name: str
    rules: str = Field(min_length=1)


class GuidanceFile(Strict):
    """The form of a file of rules."""

    schema_: Literal[1] = Field(alias="schema")
    mission: list[Rules] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Teaching:
    """Rules and examples by the mission's name; either may be nothing."""

    rules: dict[str, str]
    summaries: dict[str, tuple[Example, ...]]
    verdicts: dict[str, tuple[Example, ...]]

    def taught(self, prompts: Prompts, mission: Mission) -> Prompts:
        """Give the prompts of a mission: rules at the end of the system text, examples as turns."""
        rules = self.rules.get(mission.name, "")
        return prompts.model_copy(
            update={
                "summary": _taught(prompts.summary, rules, self.summaries.get(mission.name, ())),
                "verdict": _taught(prompts.verdict, rules, self.verdicts.get(mission.name, ())),
            }
        )


def load_teaching(examples: Path | None, guidance: Path | None, missions: Missions) -> Teaching:
    """Load a file of examples and one of rules, where there are any.

    Raises: ConfigError for a mission that is not known, a line or verdict that is malformed, a
    photo that cannot be read.
    """
    rules: dict[str, str] = {}
    if guidance is not None:
        for one in read_toml(guidance, GuidanceFile).mission:
            name = _known(guidance, missions, one.name)
            if name in rules:
                raise ConfigError(f"{guidance}: mission {one.name!r} stands twice")
            rules[name] = one.rules
    if examples is None:
        return Teaching(rules, {}, {})
    found = read_toml(examples, ExamplesFile)
    return Teaching(
        rules,
        _by_mission(
            (_known(examples, missions, one.mission), _summary(examples, one))
            for one in found.summarize
        ),
        _by_mission(
            (_known(examples, missions, one.mission), _verdict(examples, one))
            for one in found.judge
        ),
    )


def _taught(template: Template, rules: str, examples: tuple[Example, ...]) -> Template:
    system = template.system
    if rules:
        system = "\n\n".join(filter(None, (system, f"{RULES_HEAD}\n{rules}")))
    return template.model_copy(update={"system": system, "examples": examples})


def _by_mission(pairs: Iterable[tuple[str, Example]]) -> dict[str, tuple[Example, ...]]:
    found: dict[str, tuple[Example, ...]] = {}
    for name, example in pairs:
        found[name] = (*found.get(name, ()), example)
    return found


def _known(path: Path, missions: Missions, name: str) -> str:
    mission = missions.find(name)
    if mission is None:
        known = ", ".join(mission.name for mission in missions)
        raise ConfigError(f"{path}: unknown mission {normalize_name(name)!r}; known: {known}")
    return mission.name


def _summary(path: Path, one: SummaryExample) -> Example:
    photo: Location | str = one.image
    try:
        photo = locate_beside(path.absolute(), one.image)
        return Example(summary.parse(one.line), photo, _digest(photo))
    except (FormatError, UsageError) as error:
        raise ConfigError(f"{path}: {one.image}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {photo}: cannot be read: {error.strerror}") from error


def _verdict(path: Path, one: VerdictExample) -> Example:
    try:
        lines = "\n".join(f"{key}: {summary.parse(line)}" for key, line in one.lines.items())
        answer = verdict.render(Judgement(one.verdict, one.reason))
        verdict.parse(answer)
    except FormatError as error:
        raise ConfigError(f"{path}: an example of {one.mission}: {error}") from error
    return Example(answer, lines=lines)


def _digest(photo: Location) -> str:
    with open_location(photo) as file:
        return hashlib.sha256(file.read()).hexdigest()
