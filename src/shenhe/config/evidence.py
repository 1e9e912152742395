"""Evidence rules: what the lines of a group must show, and must not, before a 通过 of it stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from shenhe.config.spelling import flatten, spell_category
from shenhe.config.toml_file import Strict

_TOGETHER = re.compile(r"\s\+(?:\s|$)|^\+\s")


class Part(NamedTuple):
    """One item of a line: a category, and attributes that it has, each as its alternatives."""

    categories: frozenset[str]
    levels: tuple[frozenset[str], ...]


class Pattern(NamedTuple):
    """Items that lines show together.

    `finding` is the pattern in words, `thing` what it is about: without its last level, the
    finding, where a level before it says which thing is meant.
    """

    parts: tuple[Part, ...]
    finding: str
    thing: str


def read_pattern(text: str) -> Pattern:
    """Read a pattern: levels by `/`, alternatives within a level by `|`, items by ` + `.

    Raises: ValueError for an empty pattern, level or alternative.

        >>> read_pattern("螺丝、光纤插头/BBU安装螺丝/符合要求").thing
        'BBU安装螺丝'
    """
    parts, findings, things = [], [], []
    for item in _TOGETHER.split(text):
        levels = [level.split("|") for level in flatten(item).split("/")]
        if not all(word for level in levels for word in level):
            raise ValueError(
                f"{text!r} is no pattern: write category/attribute, alternatives by |, "
                "items that are found together by ' + '"
            )
        categories = frozenset(map(spell_category, levels[0]))
        parts.append(Part(categories, tuple(map(frozenset, levels[1:]))))
        words = [level.strip().replace("|", "、") for level in item.split("/")]
        findings.append(" ".join(words[1:] if len(words) > 2 else words))
        things.append(" ".join(words[1:-1] if len(words) > 2 else words))
    return Pattern(tuple(parts), " + ".join(findings), " + ".join(things))


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _table(value: object) -> object:
    return {"item": value} if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Patterns as they are written: one, or a list of which any will do."""


class Need(Strict):
    """What lines must show: one of the patterns of `item`, if one of `when` is seen.

    `doubt` lists words: where there are any, only a remark that holds one casts doubt on it.

    Example:
        Need(item="螺丝、光纤插头/BBU安装螺丝/符合要求")

    """

    item: Patterns = Field(min_length=1)
    name: str = ""
    when: Patterns = ()
    doubt: Patterns = ()

    @property
    def title(self) -> str:
        """The name of the need, by default the thing of its first pattern."""
        return self.name or read_pattern(self.item[0]).thing

    _readable = field_validator("item", "when")(lambda patterns: _readable(patterns))


class Fault(Strict):
    """What no line may state, unless a photo of the same place shows one of `unless`.

    `words` are further words for it, in remarks and in the reasons of verdicts.

    Example:
        Fault(item="挡风板/安装方向错误", words=["装反"])

    """

    item: Patterns = Field(min_length=1)
    name: str = ""
    unless: Patterns = ()
    words: Patterns = ()

    @property
    def title(self) -> str:
        """The name of the fault, by default the finding of its first pattern."""
        return self.name or read_pattern(self.item[0]).finding

    _readable = field_validator("item", "unless")(lambda patterns: _readable(patterns))


class EvidenceRules(Strict):
    """The evidence that a mission asks for; an entry is a pattern or a table.

    `joined_by` is what tells places apart: 站点距离 and 组; without it all photos of a group show
    one place. `ignore` lists words of remarks that do not concern the mission.

    Example:
        EvidenceRules(needs=["BBU设备"], faults=["光纤/无保护措施"], ignore=["品牌"])

    """

    needs: tuple[Annotated[Need, BeforeValidator(_table)], ...] = ()
    faults: tuple[Annotated[Fault, BeforeValidator(_table)], ...] = ()
    joined_by: tuple[Literal["站点距离", "组"], ...] = ()
    ignore: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """The hash of the rules, 16 hex digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """Copy the rules; changed ones have another hash."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("hash", None)
        return copy

    def __hash__(self) -> int:
        return hash(self.hash)


def _readable(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        read_pattern(pattern)
    return patterns


def first_error(error: ValidationError) -> str:
    """Say which key of some rules is wrong, and why."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])) + ": " + first["msg"].removeprefix("Value error, ")
