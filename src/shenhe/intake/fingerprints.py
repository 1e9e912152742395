"""What tells a group's photos from what lies there later, cheaply where it can be cheap.

A fingerprint has three parts, joined by dots: the names and sizes of the photos with the names of
what is left out; the times (or a store's tags) of the photos; and what the photos hold. The first
two come from one listing of the folder. The third is read only where times alone differ, as after
a restored backup, so that a copy of the same photos does not cost a model's work again.
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

HEX: Final = 16
READERS: Final = 4
"""Threads that read photos ahead of the model."""
BLOCK: Final = 1 << 20


def listed(contents: Contents) -> str:
    """Fingerprint what a folder holds by its listing: the first two parts, and no third."""
    names = [f"{entry.name}\0{entry.size}" for entry in contents.photos]
    left_out = [f"{one.path}\0{one.kind}" for one in contents.left_out]
    stamps = [entry.stamp for entry in contents.photos]
    return f"{_hash(['photos', *names, 'left_out', *left_out])}.{_hash(stamps)}.{UNKNOWN}"


def add_content_hash(inputs: str, photos: Sequence[Location]) -> str:
    """Put what photos hold into the fingerprint of their listing, where they can be read here."""
    digest = hashlib.blake2b(digest_size=HEX // 2)
    try:
        for photo in photos:
            if not isinstance(photo, Path):
                return inputs
            digest.update(_of_file(photo))
    except OSError:
        return inputs
    return f"{inputs.rpartition('.')[0]}.{digest.hexdigest()}"


def with_fingerprints(groups: Iterable[Group]) -> Iterator[tuple[Group, str]]:
    """Yield groups with their whole fingerprints, in order; their photos are read meanwhile.

    They are hashed before a model opens them: what is replaced in between is found the next time.
    """
    return prefetch(
        lambda group: (group, add_content_hash(group.inputs, group.photos)), groups, READERS
    )


def _of_file(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=HEX // 2)
    with open_location(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest()


def _hash(texts: Sequence[str]) -> str:
    whole = "\0".join([str(len(texts)), *texts])
    return hashlib.blake2b(
        whole.encode("utf-8", "surrogateescape"), digest_size=HEX // 2
    ).hexdigest()
