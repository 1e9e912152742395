"""A folder of groups' folders: its groups, and the entries beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from shenhe.config import Mission
from shenhe.errors import IntakeError
from shenhe.intake import hints
from shenhe.intake.fingerprints import fingerprint_listing
from shenhe.intake.folder import Contents, left_out_kind, read_contents
from shenhe.intake.layout import TreeLayout
from shenhe.intake.loose_photos import LoosePhotos, is_hidden
from shenhe.intake.spelling import (
    describe_encoding,
    escape_name,
    guess_label,
    is_system_name,
)
from shenhe.locations import FolderEntry, Location, absolute, is_folder, is_utf8, scan_folder
from shenhe.photos.kinds import is_photo
from shenhe.values import Group, Label

BAD_NAME = "bad_name"
"""Code of a group whose name, or the name of a photo in it, is not UTF-8."""
SPLIT = "split_group"
"""Code of a group whose photos lie in several folders: none of them shows it whole."""


@dataclass(slots=True)
class WalkNotes:
    """Notes of a walk: counts of entries passed over, and folders that are not read."""

    passed_over: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """One line each: a folder that is not read, and what was probably meant."""
    unlisted: list[str] = field(default_factory=list)
    """Folders of which there is no listing, or half a one."""

    def add_fault(self, text: str) -> None:
        """Add a fault unless it is noted already."""
        if text not in self.faults:
            self.faults.append(text)


class GroupListing(NamedTuple):
    """A group, and counts of the entries passed over in its folder."""

    group: Group
    passed_over: Counter[str]


@dataclass(slots=True, eq=False)
class LabelFolder:
    """A folder of groups' folders: that of a label, or the mission's own for unlabelled groups.

    `same_label` are all folders of its label, in their order. With a pattern in `layout` photos
    beside the groups' folders are of groups, too.
    """

    folder: Location
    label: Label | None
    layout: TreeLayout = field(default_factory=TreeLayout)
    is_mission: bool = False
    same_label: list[LabelFolder] = field(default_factory=list)
    _loose: LoosePhotos | None = None

    def group_names(self, notes: WalkNotes) -> Iterator[str]:
        """Yield the names of groups unsorted; other entries are counted or noted.

        A group that stands in several folders of its label is that of the first.
        """
        for name in self._own_names(notes):
            if self._others(name)[:1] in ([], [self]):
                yield name

    def has_group(self, name: str) -> bool:
        """Whether the folder has a group.

        Raises: IntakeError if it cannot be looked at.
        """
        try:
            return is_folder(self.folder / name) or self._loose_photos().find(name) is not None
        except OSError as error:
            raise IntakeError(f"{self.folder}: {error.strerror}") from error

    def list_group(self, mission: Mission, name: str) -> GroupListing:
        """List one group; any problem of its folder becomes the group's `problem`."""
        make = partial(Group, escape_name(name), mission.name, self.label)
        not_utf8, contents, folder = "" if is_utf8(name) else name, Contents(), self.folder
        if not not_utf8:
            try:
                if problem := self._describe_split(name):
                    return GroupListing(make((), problem=problem, code=SPLIT), contents.passed_over)
                loose = self._loose_photos().find(name)
                folder = folder if loose else folder / name
                contents = loose or read_contents(folder)
            except IntakeError as error:
                return GroupListing(make((), problem=str(error)), contents.passed_over)
            names = (entry.name for entry in contents.photos)
            not_utf8 = next((name for name in names if not is_utf8(name)), "")
        if not_utf8:
            problem = f"group {escape_name(name)}: {describe_encoding(not_utf8)}"
            return GroupListing(make((), problem=problem, code=BAD_NAME), contents.passed_over)
        parent = absolute(folder)
        group = make(
            tuple(parent / entry.name for entry in contents.photos),
            left_out=tuple(contents.left_out),
            inputs=fingerprint_listing(contents),
        )
        return GroupListing(group, contents.passed_over)

    def lost_groups(self, mission: Mission) -> Iterator[Group]:
        """Yield the groups whose folders are links that lead nowhere, for those who knew them.

        Raises: IntakeError if the folder cannot be listed.
        """
        if not isinstance(self.folder, Path):
            return  # a store has no links, and each listing has its price
        for entry in scan(self.folder):
            path = self.folder / entry.name
            if entry.is_folder or is_hidden(entry.name) or not path.is_symlink():
                continue
            if problem := _describe_lost(path):
                yield Group(escape_name(entry.name), mission.name, self.label, (), problem=problem)

    def _own_names(self, notes: WalkNotes) -> Iterator[str]:
        """Yield the names of groups, each once; photos of no group are noted."""
        strays: list[str] = []
        count = 0
        loose = LoosePhotos(self.folder, self.layout.group_pattern)
        try:
            for entry in scan(self.folder, facts=loose.pattern is not None):
                if loose.add(entry):
                    continue
                if is_visible_folder(entry, notes.passed_over):
                    if self._is_group(entry.name, notes):
                        yield entry.name
                elif not entry.is_folder and _may_be_photo(self.folder, entry):
                    count += 1
                    strays += [entry.name] if len(strays) < hints.MAX_NAMED else []
            self._loose = loose
            yield from (name for name in loose if not is_folder(self.folder / name))
        except (IntakeError, OSError) as error:
            notes.add_fault(str(error))
            notes.unlisted.append(str(self.folder))
        if strays:
            is_matched = loose.pattern is not None
            notes.add_fault(hints.describe_stray_photos(self.folder, strays, count, is_matched))

    def _loose_photos(self) -> LoosePhotos:
        """Give the photos beside the folders as the last walk found them."""
        if self._loose is None:
            self._loose = LoosePhotos(self.folder, self.layout.group_pattern)
            if self._loose.pattern is not None:
                self._loose.add_all(scan(self.folder, facts=True))
        return self._loose

    def _others(self, name: str) -> list[LabelFolder]:
        """List the folders of the label that have a group, where there are several folders."""
        if len(self.same_label) < 2:
            return []
        return [folder for folder in self.same_label if folder.has_group(name)]

    def _describe_split(self, name: str) -> str:
        """Describe a group whose photos lie in several folders; empty for any other.

        Raises: IntakeError if a folder cannot be looked at.
        """
        parts = [str(each.folder / name) for each in self._others(name)]
        if len(parts) < 2 and self._loose_photos().find(name):
            parts = [str(self.folder / name), f"{self.folder} itself"]
            parts = parts if is_folder(self.folder / name) else []
        if len(parts) < 2:
            return ""
        places = " and in ".join(parts)
        return f"group {escape_name(name)} lies in {places}: put its photos into one folder"

    def _is_group(self, name: str, notes: WalkNotes) -> bool:
        """Whether a folder is a group's; a misspelled label folder is noted as a fault."""
        if self.is_mission and name in self.layout.label_folders:
            return False
        label = guess_label(name)
        if not label:
            return True
        certain = self.is_mission and not any(letter.isdecimal() for letter in name)
        if not hints.is_label_folder(self.folder / name, certain=certain):
            return True
        inside = not self.is_mission
        notes.add_fault(hints.describe_label_folder(self.folder, name, label, inside=inside))
        return False


def is_visible_folder(entry: FolderEntry, passed_over: Counter[str] | None = None) -> bool:
    """Whether an entry is a folder that people see; any other is counted."""
    passed_over = Counter() if passed_over is None else passed_over
    if entry.name.startswith("."):
        passed_over["hidden"] += 1
    elif is_system_name(entry.name):
        passed_over["system"] += 1
    elif entry.is_folder:
        return True
    else:
        passed_over["stray_file"] += 1
    return False


def _describe_lost(link: Path) -> str:
    """Describe what keeps a link from leading anywhere; empty where it leads to something."""
    try:
        link.stat()
    except FileNotFoundError:
        return f"{link}: a link to a folder that is not there"
    except OSError as error:
        return f"{link}: a link that cannot be followed: {error.strerror}"
    return ""


def _may_be_photo(folder: Location, entry: FolderEntry) -> bool:
    if is_hidden(entry.name):
        return False
    return is_photo(entry.name) or bool(left_out_kind(folder, entry))


def scan(folder: Location, *, facts: bool = False) -> Iterator[FolderEntry]:
    """Yield the entries of a folder unsorted, with `facts` as `scan_folder` has them.

    Raises: IntakeError if it cannot be listed.
    """
    try:
        yield from scan_folder(folder, facts=facts)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error
