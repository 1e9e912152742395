"""The photos: which cannot be opened and why, and what other tools would see otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from shenhe.checkpoints.check import Finding, Level
from shenhe.doctor.subject import Subject
from shenhe.errors import PhotoError
from shenhe.intake import PhotoTree
from shenhe.locations import Location, walk
from shenhe.photos import PhotoFacts, describe, is_photo
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


def photos(subject: Subject) -> Iterator[Finding]:
    """Open the photos of a tree, or a sample of a large one."""
    if subject.data_root is None:
        return
    tree = PhotoTree(subject.data_root)
    for folder in tree.unknown(subject.missions):
        told = f"folder {folder} is no known mission: its photos are passed over"
        yield Finding("warning", told, "--missions FILE adds a mission")
    unlisted: list[str] = []
    sample, total = _sample(subject.data_root, subject.max_photos, unlisted)
    for told in unlisted:
        yield Finding("error", told, REMEDIES["unreadable"])
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


def _sample(root: Location, count: int, unlisted: list[str]) -> tuple[list[Location], int]:
    """Choose photos evenly from a tree of any size, the same ones each time."""
    chosen: Reservoir[Location] = Reservoir(count)

    def fail(folder: Location, error: OSError) -> None:
        unlisted.append(f"{folder}: cannot be listed: {error.strerror}")

    for folder, folders, names in walk(root, fail):
        folders.sort()
        for name in sorted(names):
            if is_photo(name) and not name.startswith("."):
                chosen.add(folder / name)
    return sorted(chosen.kept, key=str), chosen.seen


def _facts(path: Location) -> PhotoFacts | PhotoError:
    try:
        return describe(path)
    except PhotoError as error:
        return error


def _seen_otherwise(found: list[PhotoFacts]) -> Iterator[Finding]:
    turned = sum(facts.turned for facts in found)
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
