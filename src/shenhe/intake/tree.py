"""The photo tree -> groups: data_root/<mission>/{审核通过|审核不通过}/<group_id>/<photo>."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalize_name
from shenhe.errors import IntakeError
from shenhe.intake import fingerprints, hints
from shenhe.intake.folder import Contents, kind_left_out, look
from shenhe.intake.ordering import naturally
from shenhe.intake.prefetch import prefetch
from shenhe.intake.spelling import (
    LABELS,
    is_system,
    label_meant,
    label_of,
    not_utf8,
    read_name,
    spaced,
    written_name,
)
from shenhe.locations import FolderEntry, Location, absolute, is_folder, is_utf8, scan_folder
from shenhe.photos.kinds import is_photo
from shenhe.values import Group, Label, group_key

BAD_NAME = "bad_name"
LISTERS = 16
"""Threads that list groups' folders where each list is a request to a store."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder that holds groups' folders: a label's, or the mission's own."""

    folder: Location
    label: Label | None


@dataclass(slots=True)
class Seen:
    """What a walk met beside groups: what it passed over, and what is not where people mean it."""

    passed_over: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """One line each: what is not looked at, and what was probably meant."""

    def fault(self, text: str) -> None:
        """Take note of a fault, once."""
        if text not in self.faults:
            self.faults.append(text)


class PhotoTree:
    """The photo tree under a folder. What is no photo is passed over, and counted by kind."""

    def __init__(self, data_root: Location) -> None:
        """Open a tree.

        Raises: IntakeError if the folder is missing or cannot be listed.
        """
        self.data_root = data_root
        try:
            if not is_folder(data_root):
                raise IntakeError(f"--data-root {data_root}: no such folder")
        except OSError as error:
            raise IntakeError(f"--data-root {data_root}: {error.strerror}") from error
        self._missions: dict[str, list[str]] = {}
        self._known_shelves: dict[str, tuple[list[Shelf], list[str]]] = {}
        for name in naturally(entry.name for entry in _entries(data_root) if _is_shown(entry)):
            self._missions.setdefault(normalize_name(name), []).append(name)

    def missions(self, known: Missions) -> list[Mission]:
        """List the known missions that the tree has a folder for, in their configured order."""
        return [mission for mission in known if normalize_name(mission.name) in self._missions]

    def unknown_folders(self, known: Missions) -> list[str]:
        """List the folders that belong to no known mission."""
        names = {normalize_name(mission.name) for mission in known}
        return [
            folder
            for name, folders in self._missions.items()
            if name not in names
            for folder in folders
        ]

    def misspelled_folders(self, known: Missions) -> dict[str, str]:
        """Tell of folders that are no mission's by their names, and probably meant for one."""
        return hints.of_missions(self.unknown_folders(known), [mission.name for mission in known])

    def no_mission_error(self, known: Missions) -> IntakeError:
        """Say that the tree has no known mission's folder, and what was probably meant."""
        names = [mission.name for mission in known]
        hint = hints.of_root(self.data_root, names) or f"known: {', '.join(names)}"
        return IntakeError(f"--data-root {self.data_root}: no mission's folder; {hint}")

    def count_groups(self, mission: Mission) -> int:
        """Count the groups of a mission by their folders' names alone.

        Raises: IntakeError, see `groups`.
        """
        seen = Seen()
        return sum(1 for shelf in self._shelves(mission, seen) for _ in _names(shelf, seen))

    def groups(
        self,
        mission: Mission,
        passed_over: Counter[str] | None = None,
        skip: Container[str] = frozenset(),
        faults: list[str] | None = None,
    ) -> Iterator[Group]:
        """Yield the groups of a mission: passed, failed, then unlabelled, each in natural order.

        Groups' names are put in order, on disk where they are many; photos are listed group by
        group, not at all for groups whose key is in `skip`. What is passed over is counted in
        `passed_over`; `faults` are told what is not where it is looked for.
        Raises: IntakeError if the tree has no folder for the mission, or two.
        """
        seen = Seen(
            Counter() if passed_over is None else passed_over, [] if faults is None else faults
        )
        for shelf in self._shelves(mission, seen):
            names = (
                name
                for name in naturally(_names(shelf, seen))
                if group_key(mission.name, shelf.label, written_name(name)) not in skip
            )
            look_at = partial(_group, shelf, mission)
            # A list of a folder in a store is a request: many are under way at once.
            here = isinstance(self.data_root, Path)
            for looked in map(look_at, names) if here else prefetch(look_at, names, LISTERS):
                seen.passed_over.update(looked.passed_over)
                if looked.group.left_out:
                    seen.passed_over["left_out"] += len(looked.group.left_out)
                yield looked.group

    def group(self, mission: Mission, label: Label | None, group_id: str) -> Group | None:
        """Look at one group's folder; None where there is none.

        Raises: IntakeError where that cannot be told.
        """
        if not self.has_group(mission, label, group_id):
            return None
        shelf = next(shelf for shelf in self._shelves(mission, Seen()) if shelf.label == label)
        return _group(shelf, mission, read_name(group_id)).group

    def has_group(self, mission: Mission, label: Label | None, group_id: str) -> bool:
        """Whether there is a folder for a group.

        Raises: IntakeError where that cannot be told.
        """
        for shelf in self._shelves(mission, Seen()):
            if shelf.label == label:
                try:
                    return is_folder(shelf.folder / read_name(group_id))
                except OSError as error:
                    raise IntakeError(f"{shelf.folder}: {error.strerror}") from error
        return False

    def _shelves(self, mission: Mission, seen: Seen) -> list[Shelf]:
        """List the folders that hold groups, those of labels first; they are looked for once."""
        known = self._known_shelves.get(mission.name)
        if known is None:
            found = Seen()
            known = list(self._find_shelves(mission, found)), found.faults
            self._known_shelves[mission.name] = known
        shelves, faults = known
        for fault in faults:
            seen.fault(fault)
        return shelves

    def _find_shelves(self, mission: Mission, seen: Seen) -> Iterator[Shelf]:
        folder = self._folder(mission, seen)
        shelves: dict[str, list[str]] = {}
        for entry in _entries(folder):
            if _is_shown(entry) and (label_name := label_of(entry.name)):
                shelves.setdefault(label_name, []).append(entry.name)
        for label_name, label in LABELS.items():
            names = sorted(shelves.get(label_name, []))
            if len(names) > 1:
                raise IntakeError(f"{folder}: {hints.same(names)} are the same label: merge them")
            for name in names:
                if spaced(name):
                    seen.fault(hints.of_spaces(folder, name, label_name))
                yield Shelf(folder / name, label)
        yield Shelf(folder, None)

    def _folder(self, mission: Mission, seen: Seen) -> Location:
        """Find a mission's folder."""
        names = self._missions.get(normalize_name(mission.name), [])
        if len(names) > 1:
            told = hints.same(names)
            raise IntakeError(f"{self.data_root}: {told} are the same mission: merge them")
        if not names:
            every = [name for some in self._missions.values() for name in some]
            hint = hints.of_mission(self.data_root, every, mission.name)
            raise IntakeError(f"{self.data_root}: no folder for mission {mission.name!r}; {hint}")
        if spaced(names[0]):
            seen.fault(hints.of_spaces(self.data_root, names[0], mission.name))
        return self.data_root / names[0]


class Looked(NamedTuple):
    """A group, and what was passed over in its folder."""

    group: Group
    passed_over: Counter[str]


def _group(shelf: Shelf, mission: Mission, name: str) -> Looked:
    """Look at one group's folder; whatever is wrong with it is that group's."""
    make = partial(Group, written_name(name), mission.name, shelf.label)
    bad = "" if is_utf8(name) else name
    contents = Contents()
    if not bad:
        try:
            contents = look(shelf.folder / name)
        except IntakeError as error:
            return Looked(make((), problem=str(error)), contents.passed_over)
        bad = next((entry.name for entry in contents.photos if not is_utf8(entry.name)), "")
    if bad:
        told = f"group {written_name(name)}: {not_utf8(bad)}"
        return Looked(make((), problem=told, code=BAD_NAME), contents.passed_over)
    whole = absolute(shelf.folder / name)
    group = make(
        tuple(whole / entry.name for entry in contents.photos),
        left_out=tuple(contents.left_out),
        inputs=fingerprints.listed(contents),
    )
    return Looked(group, contents.passed_over)


def _names(shelf: Shelf, seen: Seen) -> Iterator[str]:
    """Yield the names of groups' folders as they come; what else lies there is counted or told."""
    strays: list[str] = []
    count = 0
    try:
        for entry in _entries(shelf.folder):
            if _is_shown(entry, seen.passed_over):
                if _is_group(shelf, entry.name, seen):
                    yield entry.name
            elif not entry.is_folder and _may_be_photo(shelf.folder, entry):
                count += 1
                strays += [entry.name] if len(strays) < hints.NAMED else []
    except IntakeError as error:
        seen.fault(str(error))
    if strays:
        seen.fault(hints.of_strays(shelf.folder, strays, count))


def _is_shown(entry: FolderEntry, passed_over: Counter[str] | None = None) -> bool:
    """Whether an entry is a folder that people see; any other is counted."""
    passed_over = Counter() if passed_over is None else passed_over
    if entry.name.startswith("."):
        passed_over["hidden"] += 1
    elif is_system(entry.name):
        passed_over["system"] += 1
    elif entry.is_folder:
        return True
    else:
        passed_over["stray_file"] += 1
    return False


def _may_be_photo(folder: Location, entry: FolderEntry) -> bool:
    if entry.name.startswith(".") or is_system(entry.name):
        return False
    return is_photo(entry.name) or bool(kind_left_out(folder, entry))


def _is_group(shelf: Shelf, name: str, seen: Seen) -> bool:
    """Whether a folder is a group's, and not a label's, which is told where it is misspelled."""
    if shelf.label is None and label_of(name):
        return False
    meant = label_meant(name)
    if not meant:
        return True
    certain = shelf.label is None and not any(letter.isdecimal() for letter in name)
    if not hints.is_shelf(shelf.folder / name, certain=certain):
        return True
    seen.fault(hints.of_label(shelf.folder, name, meant))
    return False


def _entries(folder: Location) -> Iterator[FolderEntry]:
    try:
        yield from scan_folder(folder)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error
