"""Photos to try a checkpoint on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.errors import PhotoError

if TYPE_CHECKING:
    from shenhe.locations import Location

DEMO_PHOTOS = Path(__file__).parent.parent / "demo" / "photos"


def choose_photos(named: Sequence[Location], count: int) -> list[Location]:
    """Return the named photos, or at most `count` readable ones of the demo.

    Raises: PhotoError for a named one that cannot be read.
    """
    from shenhe.photos import open_upright

    if named:
        for path in named:
            open_upright(path)
        return list(named)
    readable: list[Location] = []
    for path in sorted(DEMO_PHOTOS.rglob("img-*")):
        try:
            open_upright(path)
        except PhotoError:
            continue
        readable.append(path)
    return readable[:: max(1, len(readable) // count)][:count]
