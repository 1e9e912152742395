"""Fingerprints of a group's photos, which detect changes after a run at the lowest cost.

A fingerprint has three parts, joined by dots: a hash of the names and sizes of the photos and the
names of files left out; a hash of the photos' times (or a store's tags); and a hash of the photos'
contents. The first two come from one listing of the folder. The contents are read only if the times
alone differ, as after a restored backup, so that copied photos are not answered again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from shenhe.intake.folder import Contents
from shenhe.intake.prefetch import prefetch
from shenhe.locations import Location, open_location
from shenhe.rows.fingerprints import UNKNOWN
from shenhe.values import Group

HEX_DIGITS: Final = 16
READER_THREADS: Final = 4
BLOCK_BYTES: Final = 1 << 20


def fingerprint_listing(contents: Contents) -> str:
    """Fingerprint a folder by its listing: the first two parts, the third is `UNKNOWN`."""
    names = [f"{entry.name}\0{entry.size}" for entry in contents.photos]
    left_out = [f"{file.path}\0{file.kind}" for file in contents.left_out]
    stamps = [entry.stamp for entry in contents.photos]
    return f"{_hash(['photos', *names, 'left_out', *left_out])}.{_hash(stamps)}.{UNKNOWN}"


def add_content_hash(inputs: str, photos: Sequence[Location]) -> str:
    """Complete the fingerprint of a listing; unchanged for photos not on disk or not readable."""
    digest = hashlib.blake2b(digest_size=HEX_DIGITS // 2)
    try:
        for photo in photos:
            if not isinstance(photo, Path):
                return inputs
            digest.update(_hash_file(photo))
    except OSError:
        return inputs
    return f"{inputs.rpartition('.')[0]}.{digest.hexdigest()}"


def with_fingerprints(groups: Iterable[Group]) -> Iterator[tuple[Group, str]]:
    """Yield groups with their complete fingerprints, in order; photos are read ahead in threads.

    Photos are hashed before the model opens them, so a photo replaced in between differs at the
    next comparison.
    """
    return prefetch(
        lambda group: (group, add_content_hash(group.inputs, group.photos)), groups, READER_THREADS
    )


def _hash_file(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=HEX_DIGITS // 2)
    with open_location(path) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def _hash(texts: Sequence[str]) -> str:
    joined = "\0".join([str(len(texts)), *texts])
    return hashlib.blake2b(
        joined.encode("utf-8", "surrogateescape"), digest_size=HEX_DIGITS // 2
    ).hexdigest()
