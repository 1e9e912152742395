"""Hints about a photo tree in an unexpected layout: one line with the problem and its probable fix.

A misspelled folder is reported and not read until somebody renames it: reading it by guess would
give groups a label that no person gave them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Self

from shenhe.config.missions import normalize_name
from shenhe.errors import spelled
from shenhe.intake.ordering import sort_naturally
from shenhe.intake.spelling import (
    closest_name,
    describe_encoding,
    escape_name,
    guess_label,
    normalize_label,
)
from shenhe.locations import FolderEntry, Location, absolute, is_utf8, scan_folder
from shenhe.photos.kinds import is_photo

MAX_NAMED: Final = 3
"""Names in one hint."""
MAX_SEARCHED: Final = 50
"""Folders that are searched for a mission one level deeper."""
MAX_ASCENT: Final = 4
"""Levels above the data root that are compared with the names of missions."""


class MisspelledFolder(str):
    """The description of a folder that is probably a label's, the label, and its groups' folders.

    >>> MisspelledFolder("QC/合格: a label folder?", "审核通过", []).label
    '审核通过'
    """

    def __new__(cls, text: str, label: str, folders: Sequence[Location]) -> Self:
        """Attach a label and folders to a description."""
        fault = super().__new__(cls, text)
        fault.label, fault.folders = label, tuple(folders)
        return fault

    label: str
    folders: tuple[Location, ...]


def describe_label_folder(
    folder: Location, name: str, label: str, *, inside: bool = False
) -> MisspelledFolder:
    """Describe a folder that is probably a misspelled label folder, or one inside of another."""
    names = sort_naturally(entry.name for entry in _scan(folder / name) if entry.is_folder)
    inner = [folder / name / group for group in names]
    count = len(inner)
    folders = f"Its {count} folders are" if count > 1 else "Its 1 folder is" if count else "It is"
    if inside:
        text = (
            f"{folder / name}: a label folder in a label folder? {folders} not looked at:"
            " move what it holds one level up"
        )
        return MisspelledFolder(text, label, inner)
    problem = f"{folder / name}: a label folder in another spelling? {folders} not looked at"
    remedy = f"rename it to {label}, or name it in a {spelled('label_folders', 'FILE')}"
    text = f"{problem}: {remedy}"
    return MisspelledFolder(text, label, inner)


def describe_outer_space(folder: Location, name: str, meaning: str) -> str:
    """Describe a folder that was read although its name begins or ends with white space."""
    return f"{folder}: the folder {name!r} is taken for {meaning}: rename it, without white space"


def describe_stray_photos(
    folder: Location, names: Sequence[str], count: int, is_matched: bool = False
) -> str:
    """Describe `count` photos that lie beside the groups' folders, the first of them by `names`.

    `is_matched` says that their names were matched with a pattern, in vain.
    """
    strays = ", ".join(escape_name(name) for name in names)
    strays += f" and {count - len(names)} more" if count > len(names) else ""
    pattern = spelled("group_pattern")
    if is_matched:
        problem = f"left out: {count} whose names {pattern} does not match: {strays}"
        return f"{folder}: {problem}: rename them, or put them into their groups' folders"
    return (
        f"{folder}: {strays} in no group's folder, and not looked at: put the photos of each group"
        f" into a folder of its own, or let {pattern} find the groups in their names"
    )


def describe_unknown_folders(folders: Iterable[str], missions: Sequence[str]) -> dict[str, str]:
    """Describe unknown folders that are probably misspelled missions, by folder."""
    hints = {}
    for name in folders:
        if not is_utf8(name):
            hints[name] = f"folder {escape_name(name)} is not looked at: {describe_encoding(name)}"
        elif mission := closest_name(name, missions):
            hints[name] = (
                f"folder {name} is no known mission, and not looked at: rename it if {mission} is"
                f" meant, or add it by {spelled('missions', 'FILE')}"
            )
    return hints


def suggest_mission_folder(data_root: Location, folders: Sequence[str], mission: str) -> str:
    """Suggest the folder that was probably meant for a mission without a folder."""
    names = ", ".join(sorted(map(escape_name, folders))) or "none"
    folder_names = f"folders found: {names}"
    readable = [name for name in folders if is_utf8(name)]
    if name := next((name for name in readable if closest_name(name, [mission])), ""):
        return f"{name!r} is probably meant: rename it; {folder_names}"
    hint = suggest_data_root(data_root, [mission])
    return f"{hint}; {folder_names}" if hint else folder_names


def suggest_data_root(data_root: Location, missions: Sequence[str]) -> str:
    """Suggest the folder that was probably meant as data root, "" without a candidate."""
    normalized = {normalize_name(name) for name in missions}
    folder = absolute(data_root)
    for _ in range(MAX_ASCENT):
        if not folder.name or folder == folder.parent:
            break
        if normalize_name(folder.name) in normalized:
            data_root_option = spelled("data_root", folder.parent)
            return f"{folder.name} is a mission's own folder: use {data_root_option}"
        folder = folder.parent
    names = [entry.name for entry in _scan(data_root) if entry.is_folder]
    labels = [name for name in names if normalize_label(name) or guess_label(name)]
    if labels:
        folder_names = ", ".join(sorted(labels)[:MAX_NAMED])
        return (
            f"it holds {folder_names}, as a mission's own folder does: name it after its mission,"
            " and use the folder above it"
        )
    if normalize_label(data_root.name):
        return "it is a label's folder: use the folder above its mission's"
    for name in islice(names, MAX_SEARCHED):
        if any(normalize_name(entry.name) in normalized for entry in _scan(data_root / name)):
            return f"there is one in {name}: use {spelled('data_root', data_root / name)}"
    if any(is_photo(entry.name) for entry in _scan(data_root)):
        return "it holds photos: a group's own folder? Use the folder above its mission's"
    return "; ".join(describe_unknown_folders(names, missions).values())


def is_label_folder(folder: Location, *, certain: bool) -> bool:
    """Whether a folder with the name of a label holds groups, and is not a group of that name.

    `certain` says that no group can have this name, so photos directly inside do not matter.
    """
    if certain:
        return True
    entries = list(_scan(folder))
    return any(entry.is_folder for entry in entries) and not any(is_photo(e.name) for e in entries)


def join_alike(names: Sequence[str]) -> str:
    """Join folder names that normalize to one, with the invisible differences escaped."""
    return " and ".join(map(ascii if len({*names}) > 1 and _look_alike(names) else str, names))


def _look_alike(names: Sequence[str]) -> bool:
    normalized = {normalize_name(name) for name in names}
    return len(normalized) == 1 and any(name != name.strip() for name in names)


def _scan(folder: Location) -> Iterator[FolderEntry]:
    try:
        yield from scan_folder(folder)
    except OSError:  # a folder that cannot be folder_names gives no hint
        return
