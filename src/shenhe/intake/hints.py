"""A tree that is laid out otherwise than is looked for: what people probably meant, in one line.

Nothing is taken for what it probably is: that would put groups under a label that nobody gave
them. It is told, and not looked at until somebody has renamed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from shenhe.config.missions import normalize_name
from shenhe.intake.spelling import closest, label_meant, label_of, not_utf8, written_name
from shenhe.locations import FolderEntry, Location, absolute, is_utf8, scan_folder
from shenhe.photos.kinds import is_photo

NAMED: Final = 3
"""So many of several are named."""
LOOKED_THROUGH: Final = 50
"""Folders that are opened to find a mission's one level deeper."""


def of_label(folder: Location, name: str, meant: str) -> str:
    """Say that a folder is probably a label's."""
    inside = sum(entry.is_folder for entry in _entries(folder / name))
    told = f"{folder / name}: a label folder in another spelling?"
    if label_of(folder.name):
        told = f"{folder / name}: a label folder in a label folder?"
        return f"{told} Its {_count(inside, 'folder')} are not looked at: move them one level up"
    return f"{told} Its {_count(inside, 'folder')} are not looked at: rename it to {meant}"


def of_spaces(folder: Location, name: str, meant: str) -> str:
    """Say that white space stands round a name that was understood without it."""
    return f"{folder}: the folder {name!r} is taken for {meant}: rename it, without white space"


def of_strays(folder: Location, names: Sequence[str], count: int) -> str:
    """Say that photos lie where groups' folders do."""
    told = ", ".join(written_name(name) for name in names)
    told += f" and {count - len(names)} more" if count > len(names) else ""
    return (
        f"{folder}: {told} in no group's folder, and not looked at: put the photos of each group"
        " into a folder of its own"
    )


def of_missions(folders: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Tell of unknown folders that are probably a mission's, a line for each."""
    told = {}
    for name in folders:
        if not is_utf8(name):
            told[name] = f"folder {written_name(name)} is not looked at: {not_utf8(name)}"
        elif meant := closest(name, known):
            told[name] = (
                f"folder {name} is no known mission, and not looked at: rename it if {meant} is"
                " meant, or add it by --missions FILE"
            )
    return told


def of_mission(data_root: Location, folders: Sequence[str], mission: str) -> str:
    """Say which folder was probably meant for a mission that has none."""
    named = ", ".join(sorted(map(written_name, folders))) or "none"
    found = f"folders found: {named}"
    readable = [name for name in folders if is_utf8(name)]
    if near := next((name for name in readable if closest(name, [mission])), ""):
        return f"{near!r} is probably meant: rename it; {found}"
    hint = of_root(data_root, [mission])
    return f"{hint}; {found}" if hint else found


def of_root(data_root: Location, missions: Sequence[str]) -> str:
    """Say which folder was probably meant as data root, nothing where none is near."""
    known = {normalize_name(name) for name in missions}
    here = absolute(data_root)
    for _ in range(4):
        if not here.name or here == here.parent:
            break
        if normalize_name(here.name) in known:
            return f"{here.name} is a mission's own folder: use --data-root {here.parent}"
        here = here.parent
    folders = [entry.name for entry in _entries(data_root) if entry.is_folder]
    labels = [name for name in folders if label_of(name) or label_meant(name)]
    if labels:
        return (
            f"it holds {_some(labels)}, as a mission's own folder does: name it after its mission,"
            " and use the folder above it"
        )
    if label_of(data_root.name):
        return "it is a label's folder: use the folder above its mission's"
    for name in islice(folders, LOOKED_THROUGH):
        if any(normalize_name(entry.name) in known for entry in _entries(data_root / name)):
            return f"there is one in {name}: use --data-root {data_root / name}"
    if any(is_photo(entry.name) for entry in _entries(data_root)):
        return "it holds photos: a group's own folder? Use the folder above its mission's"
    return "; ".join(of_missions(folders, missions).values())


def is_shelf(folder: Location, *, certain: bool) -> bool:
    """Whether a folder that is called like a label holds groups, and is not a group of that name.

    `certain` where no group is called so: then also if photos lie straight in it.
    """
    if certain:
        return True
    found = list(_entries(folder))
    return any(entry.is_folder for entry in found) and not any(is_photo(e.name) for e in found)


def same(names: Sequence[str]) -> str:
    """Name folders that differ in writing alone, so that the difference can be seen."""
    return " and ".join(map(ascii if len({*names}) > 1 and _look_alike(names) else str, names))


def _look_alike(names: Sequence[str]) -> bool:
    return len({normalize_name(name) for name in names}) == 1 and any(n != n.strip() for n in names)


def _entries(folder: Location) -> Iterator[FolderEntry]:
    try:
        yield from scan_folder(folder)
    except OSError:  # there is nothing to tell of what cannot be listed
        return


def _some(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:NAMED])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
