"""Which groups of a run a sheet is about: by mission, by name, by fields of another tool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from shenhe.config.missions import normalize_name
from shenhe.errors import RunError, spelled
from shenhe.row_types import VerdictRow
from shenhe.rows.foreign import extra_texts
from shenhe.rows.group_names import GroupNames

MAX_SHOWN: Final = 5
"""Maximum number of names that a message shows."""


@dataclass(frozen=True, slots=True)
class SheetChoice:
    """The groups of a sheet: all of them where nothing is said.

    `groups` are names as `GroupNames` reads them. `fields` are fields that another tool gave the
    rows, with a value each: several values of one field are alternatives, several fields must all
    hold.

    >>> SheetChoice(fields=(("区域", "东"),)).describe()
    ['区域=东']
    """

    missions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole run."""
        return not (self.missions or self.groups or self.fields)

    def describe(self) -> list[str]:
        """List its conditions as texts."""
        return [*self.missions, *self.groups, *(f"{name}={value}" for name, value in self.fields)]


WHOLE_RUN: Final = SheetChoice()


class ChoiceMatcher:
    """Finds the groups of a choice among the rows of a run, and notes what it did not find."""

    def __init__(self, choice: SheetChoice) -> None:
        self._missions = {normalize_name(name): name for name in choice.missions}
        self._names = GroupNames(choice.groups) if choice.groups else None
        self._values: dict[str, set[str]] = defaultdict(set)
        for name, value in choice.fields:
            self._values[name].add(value.strip())
        self._missing_missions = dict(self._missions)
        self._known_missions: dict[str, None] = {}
        self._known_fields: dict[str, dict[str, None]] = {}
        self.matched = 0

    def match(self, row: VerdictRow, extra_of_group: Callable[[], Mapping[str, JsonValue]]) -> bool:
        """Whether a group is chosen; its further fields are read only where they count."""
        mission = normalize_name(row.mission)
        self._known_missions[row.mission] = None
        self._missing_missions.pop(mission, None)
        is_named = self._names is None or self._names.match(row.mission, row.label, row.group_id)
        if (self._missions and mission not in self._missions) or not is_named:
            return False
        if self._values and not self._match_fields(dict(extra_texts(extra_of_group()))):
            return False
        self.matched += 1
        return True

    def check(self) -> None:
        """Refuse a choice that names what the run does not have.

        Raises: RunError that names it, and what there is.
        """
        if self._missing_missions:
            absent = ", ".join(self._missing_missions.values())
            present = ", ".join(self._known_missions)
            raise RunError(f"{spelled('mission')} {absent}: not in this run, which has {present}")
        if self._names is not None and (absent := self._names.describe_unmatched()):
            raise RunError(f"{spelled('group')}: not in this run: {absent}")
        if not self.matched:
            raise RunError(f"no group of this run is chosen: {self._describe_fields()}")

    def _match_fields(self, texts: Mapping[str, str]) -> bool:
        for name, text in texts.items():
            values = self._known_fields.setdefault(name[:MAX_NAME], {})
            if len(values) <= MAX_SHOWN:
                values[text[:MAX_NAME]] = None
        return all(texts.get(name, "").strip() in values for name, values in self._values.items())

    def _describe_fields(self) -> str:
        if not self._known_fields:
            return "the chosen groups have no fields of another tool"
        names = [
            f"{name} ({', '.join(list(values)[:MAX_SHOWN])}"
            f"{', ...' if len(values) > MAX_SHOWN else ''})"
            for name, values in list(self._known_fields.items())[:MAX_SHOWN]
        ]
        return f"their fields are {'; '.join(names)}"


MAX_NAME: Final = 40
"""Maximum number of characters of a field or a value that a message shows."""
