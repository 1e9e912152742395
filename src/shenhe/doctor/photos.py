"""Checks of the photos: which cannot be opened, and which other tools read differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from shenhe.checkpoints.findings import Finding, Level
from shenhe.config import Mission
from shenhe.doctor.subject import Subject
from shenhe.errors import IntakeError, PhotoError, spelled
from shenhe.intake import PhotoTree
from shenhe.locations import Location
from shenhe.photos import PhotoEncoding, read_encoding
from shenhe.reservoir import Reservoir

MAX_LISTED = 20
DAMAGED_INSIDE = "damaged_inside"
"""Code of a photo that is read although a part of its data is damaged."""
REMEDIES = {
    "missing": "a link that leads nowhere: copy the photo",
    "unreadable": "give yourself the right to read it",
    DAMAGED_INSIDE: "ask for the photo again: a part of it is not as it was taken",
    "empty": "ask for the photo again",
    "not_a_photo": "not a photo, whatever its name says: ask for it again, or remove it",
    "truncated": "ask for the photo again: a part of it is lost",
    "unsupported": "save it as an ordinary JPEG or PNG",
    "out_of_memory": "free some memory, or scale it down",
    "too_large": "scale it down",
    "too_long": "cut it to what is to be seen",
}


def check_photos(subject: Subject) -> Iterator[Finding]:
    """Check the folders of a photo tree, then decode its photos or a sample of them."""
    if subject.data_root is None:
        return
    tree = PhotoTree(subject.data_root, subject.layout)
    yield from _unknown_folders(tree, subject)
    missions = tree.missions(subject.missions)
    if not missions:
        yield Finding("error", str(tree.no_mission_error(subject.missions)), "name another folder")
        return
    walk = _walk(tree, missions, subject.max_photos)
    yield from _not_read(walk)
    sample, total = sorted(walk.sample.items, key=str), walk.sample.total
    if not sample:
        yield Finding("error", f"{subject.data_root}: no photos below it", "name another folder")
        return
    yield from _decode(sample, total)


def _unknown_folders(tree: PhotoTree, subject: Subject) -> Iterator[Finding]:
    misspelled = tree.misspelled_folders(subject.missions)
    for hint in misspelled.values():
        yield Finding("error", hint, "a run does not look at it")
    for folder in tree.unknown_folders(subject.missions):
        if folder not in misspelled:
            problem = f"folder {folder} is no known mission: its photos are passed over"
            yield Finding("warning", problem, f"{spelled('missions', 'FILE')} adds a mission")


def _decode(sample: Sequence[Location], total: int) -> Iterator[Finding]:
    """Decode a sample of photos in threads and report the errors, the damage, and the kinds."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(_facts, sample))
    errors = [error for error in results if isinstance(error, PhotoError)]
    scope = f"{len(sample)} of {total}" if len(sample) < total else f"all {total}"
    yield Finding("ok", f"{len(sample) - len(errors)} photos can be opened; looked at {scope}")
    for error in islice(errors, MAX_LISTED):
        yield Finding("error", f"{error.code}: {error}", REMEDIES.get(error.code, ""))
    if len(errors) > MAX_LISTED:
        yield Finding("error", f"and {len(errors) - MAX_LISTED} more that cannot be opened")
    damaged = [
        f"{path}: {facts.damaged_inside}"
        for path, facts in zip(sample, results, strict=True)
        if isinstance(facts, PhotoEncoding) and facts.damaged_inside
    ]
    yield from list_photos_at_fault(DAMAGED_INSIDE, damaged, "warning")
    yield from _read_differently([facts for facts in results if isinstance(facts, PhotoEncoding)])


def list_photos_at_fault(code: str, photos: Sequence[str], level: Level) -> Iterator[Finding]:
    """Report photos with one code, at most `MAX_LISTED` of them by name."""
    for photo in photos[:MAX_LISTED]:
        yield Finding(level, f"{code}: {photo}", REMEDIES.get(code, ""))
    if len(photos) > MAX_LISTED:
        yield Finding(level, f"{code}: and {len(photos) - MAX_LISTED} more photos")


@dataclass(slots=True)
class _Walk:
    """Result of walking a tree: a sample of its photos, and the groups that are not read."""

    sample: Reservoir[Location]
    left_out_groups: int = 0
    left_out: list[str] = field(default_factory=list)
    """The first groups with files left out, one line each."""
    faults: list[str] = field(default_factory=list)


def _walk(tree: PhotoTree, missions: Iterable[Mission], count: int) -> _Walk:
    """Walk the groups as a run does, with a reproducible sample of `count` photos."""
    walk = _Walk(Reservoir(count))
    for mission in missions:
        try:
            for group in tree.groups(mission, faults=walk.faults):
                if group.problem:
                    walk.faults.append(group.problem)
                elif not group.photos:
                    walk.faults.append(f"group {group.group_id} has no photo")
                for photo in group.photos:
                    walk.sample.add(photo)
                if group.left_out:
                    walk.left_out_groups += 1
                    if walk.left_out_groups <= MAX_LISTED:
                        names = ", ".join(f"{file.path} ({file.kind})" for file in group.left_out)
                        walk.left_out.append(f"group {group.group_id}: not looked at: {names}")
        except IntakeError as error:
            walk.faults.append(str(error))
    return walk


def _not_read(walk: _Walk) -> Iterator[Finding]:
    for fault in islice(walk.faults, MAX_LISTED):
        yield Finding("error", fault)
    if len(walk.faults) > MAX_LISTED:
        yield Finding("error", f"and {len(walk.faults) - MAX_LISTED} more that are not looked at")
    for line in walk.left_out:
        yield Finding("warning", line, "such a group is undecided (left_out)")
    if walk.left_out_groups > MAX_LISTED:
        count = walk.left_out_groups - MAX_LISTED
        yield Finding("warning", f"and {count} more groups not looked at whole")


def _facts(path: Location) -> PhotoEncoding | PhotoError:
    try:
        return read_encoding(path)
    except PhotoError as error:
        return error


def _read_differently(photos: Sequence[PhotoEncoding]) -> Iterator[Finding]:
    """Report photos that other tools rotate differently or cannot decode."""
    if count := sum(facts.rotated for facts in photos):
        yield Finding(
            "ok",
            f"{count} are stored turned (EXIF); shenhe sets them upright, vLLM and ms-swift do not",
        )
    kinds = Counter(facts.kind for facts in photos)
    if heic := kinds["HEIC"]:
        yield Finding(
            "ok", f"{heic} are HEIC, whatever their names; most other tools cannot open them"
        )
