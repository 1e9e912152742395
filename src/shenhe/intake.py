"""The photo tree on disk -> groups: data_root/<mission>/{审核通过|审核不通过}/<group_id>/<photo>."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalized
from shenhe.errors import IntakeError
from shenhe.photos import SUFFIXES
from shenhe.records import Group, Label

LABELS: dict[str, Label] = {"审核通过": "pass", "审核不通过": "fail"}

_NUMBER = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Order names as people do: img-2 before img-10; equal ones by their exact spelling."""
    parts = (
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in _NUMBER.split(name)
        if part
    )
    return tuple(parts), name


class PhotoTree:
    """The photo tree under a folder; `passed_over` counts what is no photo, by kind."""

    def __init__(self, data_root: Path) -> None:
        """Open a tree.

        Raises: IntakeError if the folder is missing or cannot be listed.
        """
        self.data_root = data_root
        self.passed_over: Counter[str] = Counter()
        if not data_root.is_dir():
            raise IntakeError(f"--data-root {data_root}: no such folder")
        self._missions = {normalized(name): name for name in self._folders(data_root)}

    def missions(self, known: Missions) -> list[Mission]:
        """List the known missions that the tree has a folder for, in their configured order."""
        return [mission for mission in known if normalized(mission.name) in self._missions]

    def groups(self, mission: Mission) -> Iterator[Group]:
        """Yield the groups of a mission: passed, failed, then unlabelled, each in natural order.

        Only names are held in memory; photos are listed group by group.
        Raises: IntakeError if the tree has no folder for the mission.
        """
        folder_name = self._missions.get(normalized(mission.name))
        if folder_name is None:
            found = ", ".join(sorted(self._missions.values())) or "none"
            raise IntakeError(
                f"{self.data_root}: no folder for mission {mission.name!r}; folders found: {found}"
            )
        folder = self.data_root / folder_name
        names = self._folders(folder)
        for label_name, label in LABELS.items():
            labelled = next((n for n in names if normalized(n) == label_name), None)
            if labelled is not None:
                yield from self._groups_in(folder / labelled, mission, label)
        unlabelled = [name for name in names if normalized(name) not in LABELS]
        yield from self._named(folder, unlabelled, mission, None)

    def _groups_in(self, folder: Path, mission: Mission, label: Label) -> Iterator[Group]:
        yield from self._named(folder, self._folders(folder), mission, label)

    def _named(
        self, folder: Path, names: list[str], mission: Mission, label: Label | None
    ) -> Iterator[Group]:
        for name in names:
            yield Group(name, mission.name, label, self._photos(folder / name))

    def _folders(self, folder: Path) -> list[str]:
        """List folders in natural order; files and hidden entries are passed over and counted."""
        names = []
        for entry in _entries(folder):
            if entry.name.startswith("."):
                self.passed_over["hidden"] += 1
            elif _is_folder(entry):
                names.append(entry.name)
            else:
                self.passed_over["stray_file"] += 1
        return sorted(names, key=natural_key)

    def _photos(self, folder: Path) -> tuple[Path, ...]:
        photos = []
        for entry in _entries(folder):
            if entry.name.startswith("."):
                self.passed_over["hidden"] += 1
            elif _is_folder(entry):
                self.passed_over["folder_in_group"] += 1
            elif Path(entry.name).suffix.casefold() in SUFFIXES:
                photos.append(entry.name)
            else:
                self.passed_over["not_a_photo"] += 1
        absolute = folder.absolute()
        return tuple(absolute / name for name in sorted(photos, key=natural_key))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; a link that leads nowhere or in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
