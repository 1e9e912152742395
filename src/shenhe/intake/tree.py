"""The photo tree -> groups: data_root/<mission>/{审核通过|审核不通过}/<group_id>/<photo>."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalized
from shenhe.errors import IntakeError
from shenhe.intake.ordering import natural_key, naturally
from shenhe.locations import Entry, Location, absolute, entries, is_folder
from shenhe.photos import is_photo
from shenhe.records import Group, Label, group_key

LABELS: dict[str, Label] = {"审核通过": "pass", "审核不通过": "fail"}


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
        self._missions: dict[str, str] = {}
        for name in naturally(_folders(data_root, Counter())):
            other = self._missions.setdefault(normalized(name), name)
            if other != name:
                raise IntakeError(
                    f"{data_root}: {other} and {name} are the same mission: merge them"
                )

    def missions(self, known: Missions) -> list[Mission]:
        """List the known missions that the tree has a folder for, in their configured order."""
        return [mission for mission in known if normalized(mission.name) in self._missions]

    def unknown(self, known: Missions) -> list[str]:
        """List the folders that belong to no known mission."""
        names = {normalized(mission.name) for mission in known}
        return [folder for name, folder in self._missions.items() if name not in names]

    def count(self, mission: Mission) -> int:
        """Count the groups of a mission by their folders' names alone."""
        return sum(1 for _, names, _ in self._shelves(mission, Counter()) for _ in names)

    def groups(
        self,
        mission: Mission,
        passed_over: Counter[str] | None = None,
        skip: Container[str] = frozenset(),
    ) -> Iterator[Group]:
        """Yield the groups of a mission: passed, failed, then unlabelled, each in natural order.

        Groups' names are put in order, on disk where they are many; photos are listed group by
        group, not at all for groups whose key is in `skip`. What is passed over is counted in
        `passed_over`.
        Raises: IntakeError if the tree has no folder for the mission.
        """
        counter = Counter() if passed_over is None else passed_over
        for folder, names, label in self._shelves(mission, counter):
            for name in naturally(names):
                if group_key(mission.name, label, name) in skip:
                    continue
                try:
                    photos = group_photos(folder / name, counter)
                except IntakeError as error:
                    yield Group(name, mission.name, label, (), problem=str(error))
                else:
                    yield Group(name, mission.name, label, photos)

    def _shelves(
        self, mission: Mission, passed_over: Counter[str]
    ) -> Iterator[tuple[Location, Iterator[str], Label | None]]:
        """Yield each folder that holds groups, their names as they come, and their label."""
        folder_name = self._missions.get(normalized(mission.name))
        if folder_name is None:
            found = ", ".join(sorted(self._missions.values())) or "none"
            raise IntakeError(
                f"{self.data_root}: no folder for mission {mission.name!r}; folders found: {found}"
            )
        folder = self.data_root / folder_name
        shelves: dict[str, str] = {}
        for name in naturally(name for name in _folders(folder, Counter()) if _label(name)):
            other = shelves.setdefault(_label(name), name)
            if other != name:
                raise IntakeError(f"{folder}: {other} and {name} are the same label: merge them")
        for label_name, label in LABELS.items():
            if label_name in shelves:
                name = shelves[label_name]
                yield folder / name, _folders(folder / name, passed_over), label
        yield folder, (name for name in _folders(folder, passed_over) if not _label(name)), None


def _label(name: str) -> str:
    """Give the label that a folder's name is, in its usual spelling; nothing for another name."""
    found = normalized(name)
    return found if found in LABELS else ""


def _folders(folder: Location, passed_over: Counter[str]) -> Iterator[str]:
    """Yield folders as they come; files and hidden entries are passed over and counted."""
    for entry in _entries(folder):
        if entry.name.startswith("."):
            passed_over["hidden"] += 1
        elif entry.is_folder:
            yield entry.name
        else:
            passed_over["stray_file"] += 1


def group_photos(folder: Location, passed_over: Counter[str] | None = None) -> tuple[Location, ...]:
    """List the photos of a group's folder in natural order, as absolute paths.

    Raises: IntakeError if it cannot be listed.
    """
    passed_over = Counter() if passed_over is None else passed_over
    names = []
    for entry in _entries(folder):
        if entry.name.startswith("."):
            passed_over["hidden"] += 1
        elif entry.is_folder:
            passed_over["folder_in_group"] += 1
        elif is_photo(entry.name):
            names.append(entry.name)
        else:
            passed_over["not_a_photo"] += 1
    whole = absolute(folder)
    return tuple(whole / name for name in sorted(names, key=natural_key))


def _entries(folder: Location) -> Iterator[Entry]:
    try:
        yield from entries(folder)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error
