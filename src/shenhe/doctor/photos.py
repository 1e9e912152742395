"""The photos: which cannot be opened and why, and what other tools would see otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from shenhe.checkpoints.check import Finding, Level
from shenhe.config import Mission
from shenhe.doctor.subject import Subject
from shenhe.errors import IntakeError, PhotoError
from shenhe.intake import PhotoTree
from shenhe.locations import Location
from shenhe.photos import PhotoFacts, read_facts
from shenhe.reservoir import Reservoir

LISTED = 20
DAMAGED_INSIDE = "damaged_inside"
"""What the rows of a run call a photo that is read though a part of its data makes no sense."""
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
    """Open the photos of a tree, or a sample of a large one."""
    if subject.data_root is None:
        return
    tree = PhotoTree(subject.data_root)
    misspelled = tree.misspelled_folders(subject.missions)
    for told in misspelled.values():
        yield Finding("error", told, "a run does not look at it")
    for folder in tree.unknown_folders(subject.missions):
        if folder not in misspelled:
            told = f"folder {folder} is no known mission: its photos are passed over"
            yield Finding("warning", told, "--missions FILE adds a mission")
    missions = tree.missions(subject.missions)
    if not missions:
        yield Finding("error", str(tree.no_mission_error(subject.missions)), "name another folder")
        return
    walk = _walk(tree, missions, subject.max_photos)
    yield from _not_looked_at(walk)
    sample, total = sorted(walk.chosen.items, key=str), walk.chosen.total
    if not sample:
        yield Finding("error", f"{subject.data_root}: no photos below it", "name another folder")
        return
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_facts, sample))
    bad = [error for error in found if isinstance(error, PhotoError)]
    some = f"{len(sample)} of {total}" if len(sample) < total else f"all {total}"
    yield Finding("ok", f"{len(sample) - len(bad)} photos can be opened; looked at {some}")
    for error in islice(bad, LISTED):
        yield Finding("error", f"{error.code}: {error}", REMEDIES.get(error.code, ""))
    if len(bad) > LISTED:
        yield Finding("error", f"and {len(bad) - LISTED} more that cannot be opened")
    damaged = [
        f"{path}: {facts.damaged_inside}"
        for path, facts in zip(sample, found, strict=True)
        if isinstance(facts, PhotoFacts) and facts.damaged_inside
    ]
    yield from listed(DAMAGED_INSIDE, damaged, "warning")
    yield from _seen_otherwise([facts for facts in found if isinstance(facts, PhotoFacts)])


def listed(code: str, photos: Sequence[str], level: Level) -> Iterator[Finding]:
    """Name photos of one fault, no more than a screen takes."""
    for told in photos[:LISTED]:
        yield Finding(level, f"{code}: {told}", REMEDIES.get(code, ""))
    if len(photos) > LISTED:
        yield Finding(level, f"{code}: and {len(photos) - LISTED} more photos")


@dataclass(slots=True)
class _Walk:
    """What a run would see: photos, evenly chosen where they are many, and what it would not."""

    chosen: Reservoir[Location]
    left_out: int = 0
    listed: list[str] = field(default_factory=list)
    """Groups that are not looked at whole, the first few."""
    faults: list[str] = field(default_factory=list)


def _walk(tree: PhotoTree, missions: Iterable[Mission], count: int) -> _Walk:
    """Go through the groups of a tree of any size as a run does; the same photos each time."""
    walk = _Walk(Reservoir(count))
    for mission in missions:
        try:
            for group in tree.groups(mission, faults=walk.faults):
                if group.problem:
                    walk.faults.append(group.problem)
                elif not group.photos:
                    walk.faults.append(f"group {group.group_id} has no photo")
                for photo in group.photos:
                    walk.chosen.add(photo)
                if group.left_out:
                    walk.left_out += 1
                    if walk.left_out <= LISTED:
                        names = ", ".join(f"{one.path} ({one.kind})" for one in group.left_out)
                        walk.listed.append(f"group {group.group_id}: not looked at: {names}")
        except IntakeError as error:
            walk.faults.append(str(error))
    return walk


def _not_looked_at(walk: _Walk) -> Iterator[Finding]:
    for told in islice(walk.faults, LISTED):
        yield Finding("error", told)
    if len(walk.faults) > LISTED:
        yield Finding("error", f"and {len(walk.faults) - LISTED} more that are not looked at")
    for told in walk.listed:
        yield Finding("warning", told, "such a group is undecided (left_out)")
    if walk.left_out > LISTED:
        yield Finding("warning", f"and {walk.left_out - LISTED} more groups not looked at whole")


def _facts(path: Location) -> PhotoFacts | PhotoError:
    try:
        return read_facts(path)
    except PhotoError as error:
        return error


def _seen_otherwise(found: list[PhotoFacts]) -> Iterator[Finding]:
    turned = sum(facts.rotated for facts in found)
    if turned:
        told = (
            f"{turned} are stored turned (EXIF); shenhe sets them upright, vLLM and ms-swift do not"
        )
        yield Finding("ok", told)
    kinds = Counter(facts.kind for facts in found)
    if heic := kinds["HEIC"]:
        yield Finding(
            "ok", f"{heic} are HEIC, whatever their names; most other tools cannot open them"
        )
