"""Written rules and worked examples of missions, which prompts include."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from shenhe.config.guidance import read_guidance
from shenhe.config.missions import Mission, Missions, normalize_name
from shenhe.config.prompts import Example, Prompts, Template
from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError, FormatError, UsageError
from shenhe.formats import summary, verdict
from shenhe.formats.text_formats import PLAIN, SummaryFormat, TextFormats
from shenhe.locations import Location, locate_beside, open_location
from shenhe.values import Judgement, Ruling

RULES_HEAD = "检查规则："


class SummaryExample(Strict):
    """A photo and its expected line."""

    mission: str
    image: str
    line: str


class VerdictExample(Strict):
    """The lines of a group and their expected verdict."""

    mission: str
    lines: dict[str, str] = Field(min_length=1)
    verdict: Ruling
    reason: str


class ExamplesFile(Strict):
    """A file of examples; prompts show those of a stage in this order."""

    schema_: Literal[1] = Field(alias="schema")
    summarize: list[SummaryExample] = Field(default_factory=list)
    judge: list[VerdictExample] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Teaching:
    """Rules and examples by the mission's name; a mission may have none.

    Example:
        template = teaching.apply(prompts, mission).summary

    """

    rules: dict[str, str]
    summaries: dict[str, tuple[Example, ...]]
    verdicts: dict[str, tuple[Example, ...]]

    def apply(self, prompts: Prompts, mission: Mission) -> Prompts:
        """Return the prompts of a mission: rules end the system text, examples are turns."""
        rules = self.rules.get(mission.name, "")
        summaries = self.summaries.get(mission.name, ())
        verdicts = self.verdicts.get(mission.name, ())
        return prompts.model_copy(
            update={
                "summary": _extend(prompts.summary, rules, summaries),
                "verdict": _extend(prompts.verdict, rules, verdicts),
            }
        )


def load_teaching(
    examples: Path | None,
    guidance: Path | None,
    missions: Missions,
    formats: TextFormats = PLAIN,
) -> Teaching:
    """Load a file of examples, answered in the formats, and a file of rules; both are optional.

    Raises: ConfigError for an unknown mission, a malformed line or verdict, or a photo that cannot
    be read.

    Example:
        teaching = load_teaching(Path("examples.toml"), None, load_missions())

    """
    rules: dict[str, str] = {}
    if guidance is not None:
        for entry in read_guidance(guidance):
            name = _mission_name(guidance, missions, entry.name)
            if name in rules:
                raise ConfigError(f"{guidance}: mission {entry.name!r} stands twice")
            rules[name] = entry.rules
    if examples is None:
        return Teaching(rules, {}, {})
    content = read_toml(examples, ExamplesFile)
    name_of = partial(_mission_name, examples, missions)
    return Teaching(
        rules,
        _by_mission(
            (name_of(example.mission), _summary(examples, example, formats.summary))
            for example in content.summarize
        ),
        _by_mission(
            (name_of(example.mission), _verdict(examples, example, formats))
            for example in content.judge
        ),
    )


def _extend(template: Template, rules: str, examples: tuple[Example, ...]) -> Template:
    system = template.system
    if rules:
        system = "\n\n".join(filter(None, (system, f"{RULES_HEAD}\n{rules}")))
    return template.model_copy(update={"system": system, "examples": examples, "rules": rules})


def _by_mission(pairs: Iterable[tuple[str, Example]]) -> dict[str, tuple[Example, ...]]:
    examples: dict[str, tuple[Example, ...]] = {}
    for name, example in pairs:
        examples[name] = (*examples.get(name, ()), example)
    return examples


def _mission_name(path: Path, missions: Missions, name: str) -> str:
    mission = missions.find(name)
    if mission is None:
        names = ", ".join(mission.name for mission in missions)
        raise ConfigError(f"{path}: unknown mission {normalize_name(name)!r}; known: {names}")
    return mission.name


def _summary(path: Path, example: SummaryExample, form: SummaryFormat) -> Example:
    photo: Location | str = example.image
    try:
        photo = locate_beside(path.absolute(), example.image)
        line = summary.parse_stored(example.line, form)
        answer = summary.write(line, form, summary.header_of(example.line, form))
        return Example(answer, photo, _digest(photo))
    except (FormatError, UsageError) as error:
        raise ConfigError(f"{path}: {example.image}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {photo}: cannot be read: {error.strerror}") from error


def _verdict(path: Path, example: VerdictExample, formats: TextFormats) -> Example:
    try:
        group = summary.parse_group(example.lines, formats.summary)
        lines = "\n".join(f"{key}: {line}" for key, line in group.items())
        answer = verdict.render(Judgement(example.verdict, example.reason), formats.verdict)
        verdict.parse(answer, formats.verdict)
    except FormatError as error:
        raise ConfigError(f"{path}: an example of {example.mission}: {error}") from error
    return Example(answer, lines=lines)


def _digest(photo: Location) -> str:
    with open_location(photo) as file:
        return hashlib.sha256(file.read()).hexdigest()
