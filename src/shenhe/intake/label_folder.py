"""A folder of groups' folders: its groups, and the entries beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from shenhe.config import Mission
from shenhe.errors import IntakeError
from shenhe.intake import hints
from shenhe.intake.fingerprints import fingerprint_listing
from shenhe.intake.folder import Contents, left_out_kind, read_contents
from shenhe.intake.spelling import (
    describe_encoding,
    escape_name,
    guess_label,
    is_system_name,
    normalize_label,
)
from shenhe.locations import FolderEntry, Location, absolute, is_utf8, scan_folder
from shenhe.photos.kinds import is_photo
from shenhe.values import Group, Label

BAD_NAME = "bad_name"
"""Code of a group whose name, or the name of a photo in it, is not UTF-8."""


@dataclass(slots=True)
class WalkNotes:
    """Notes of a walk: counts of entries passed over, and folders that are not read."""

    passed_over: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """One line each: a folder that is not read, and what was probably meant."""

    def add_fault(self, text: str) -> None:
        """Add a fault unless it is noted already."""
        if text not in self.faults:
            self.faults.append(text)


class GroupListing(NamedTuple):
    """A group, and counts of the entries passed over in its folder."""

    group: Group
    passed_over: Counter[str]


@dataclass(frozen=True, slots=True)
class LabelFolder:
    """A folder of groups' folders: that of a label, or the mission's own for unlabelled groups."""

    folder: Location
    label: Label | None

    def group_names(self, notes: WalkNotes) -> Iterator[str]:
        """Yield the names of groups' folders unsorted; other entries are counted or noted."""
        strays: list[str] = []
        count = 0
        try:
            for entry in scan(self.folder):
                if is_visible_folder(entry, notes.passed_over):
                    if self._is_group(entry.name, notes):
                        yield entry.name
                elif not entry.is_folder and _may_be_photo(self.folder, entry):
                    count += 1
                    strays += [entry.name] if len(strays) < hints.MAX_NAMED else []
        except IntakeError as error:
            notes.add_fault(str(error))
        if strays:
            notes.add_fault(hints.describe_stray_photos(self.folder, strays, count))

    def list_group(self, mission: Mission, name: str) -> GroupListing:
        """List one group; any problem of its folder becomes the group's `problem`."""
        make = partial(Group, escape_name(name), mission.name, self.label)
        not_utf8 = "" if is_utf8(name) else name
        contents = Contents()
        if not not_utf8:
            try:
                contents = read_contents(self.folder / name)
            except IntakeError as error:
                return GroupListing(make((), problem=str(error)), contents.passed_over)
            names = (entry.name for entry in contents.photos)
            not_utf8 = next((name for name in names if not is_utf8(name)), "")
        if not_utf8:
            problem = f"group {escape_name(name)}: {describe_encoding(not_utf8)}"
            return GroupListing(make((), problem=problem, code=BAD_NAME), contents.passed_over)
        folder = absolute(self.folder / name)
        group = make(
            tuple(folder / entry.name for entry in contents.photos),
            left_out=tuple(contents.left_out),
            inputs=fingerprint_listing(contents),
        )
        return GroupListing(group, contents.passed_over)

    def _is_group(self, name: str, notes: WalkNotes) -> bool:
        """Whether a folder is a group's; a misspelled label folder is noted as a fault."""
        if self.label is None and normalize_label(name):
            return False
        label = guess_label(name)
        if not label:
            return True
        certain = self.label is None and not any(letter.isdecimal() for letter in name)
        if not hints.is_label_folder(self.folder / name, certain=certain):
            return True
        notes.add_fault(hints.describe_label_folder(self.folder, name, label))
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


def _may_be_photo(folder: Location, entry: FolderEntry) -> bool:
    if entry.name.startswith(".") or is_system_name(entry.name):
        return False
    return is_photo(entry.name) or bool(left_out_kind(folder, entry))


def scan(folder: Location) -> Iterator[FolderEntry]:
    """Yield the entries of a folder unsorted.

    Raises: IntakeError if it cannot be listed.
    """
    try:
        yield from scan_folder(folder)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error
