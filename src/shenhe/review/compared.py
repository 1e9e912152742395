"""What the page of two runs shows of one group: both verdicts, both lines and captions a photo."""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

from shenhe.formats.caption import from_grouped
from shenhe.locations import locate
from shenhe.overlays import DrawnObject, draw_objects
from shenhe.printable import printable
from shenhe.review.differences import TextPart, mark_differences
from shenhe.review.index import GroupRows
from shenhe.row_types import CaptionRow
from shenhe.values import photo_key
from shenhe.web.pictures import photo_tag


class ComparedPhoto(NamedTuple):
    """A photo of a group in two runs; `source` says which run's photo is shown.

    `captions` are the objects before and now; None where that run has no caption of the photo.
    """

    key: str
    position: int
    source: str
    name: str
    tag: str
    same_photo: bool
    before: list[TextPart]
    now: list[TextPart]
    captions: tuple[list[DrawnObject] | None, list[DrawnObject] | None]


def compare_photos(before: GroupRows, now: GroupRows) -> list[ComparedPhoto]:
    """Lay the photos of a group in two runs side by side, by their position."""
    photos = []
    for index, (old, new) in enumerate(zip_longest(before.images, now.images)):
        key, image = photo_key(index), new if new is not None else old
        lines = mark_differences(before.lines.get(key, ""), now.lines.get(key, ""))
        captions = (before.captions.get(old or ""), now.captions.get(new or ""))
        photos.append(
            ComparedPhoto(
                key,
                index + 1,
                "before" if new is None else "now",
                printable(locate(image).name),
                photo_tag(image),
                old is not None and new is not None and locate(old).name == locate(new).name,
                *lines,
                (_draw(captions[0]), _draw(captions[1])),
            )
        )
    return photos


def _draw(row: CaptionRow | None) -> list[DrawnObject] | None:
    return draw_objects(from_grouped(row.caption).photos[0]) if row else None
