"""Photos of groups as pages and sheets show them: upright, small, with their captions drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from shenhe import photos
from shenhe.errors import PhotoError
from shenhe.formats.caption import from_grouped
from shenhe.formats.verdict import photos_named
from shenhe.locations import Location
from shenhe.overlays import draw_caption
from shenhe.printable import printable
from shenhe.report.reading import SheetGroup
from shenhe.row_types import CaptionRow, SummaryRow
from shenhe.rows.photo_marks import (
    PhotoMark,
    PhotoMarks,
    earlier_runs_of,
    facts_of,
    mark_photos,
    opened_index,
    owner_of,
)
from shenhe.rows.readers import caption_files, read_captions
from shenhe.shards import list_rows_files
from shenhe.values import photo_key

JPEG_QUALITY: Final = 76
DRAWN_SIDE: Final = 960
"""The size at which captions are drawn. Units: pixels of the longer side."""
NO_PATH: Final = "no_path"
THREADS: Final = min(4, os.cpu_count() or 1)
"""Photos that are opened at once: Pillow and libjpeg let other threads work meanwhile."""
Captions = Mapping[str, CaptionRow]
"""Dense captions by the path of their photo."""


@dataclass(frozen=True, slots=True)
class ShownPhoto:
    """A photo of a group: what was seen on it, and its picture, or the code of what is wrong.

    `size_wh` is that of the picture in pixels; `marks` is what is told of it beside the model.
    """

    key: str
    name: str
    line: str
    jpeg: bytes = b""
    size_wh: tuple[int, int] = (0, 0)
    problem: str = ""
    is_named: bool = False
    damage: str = ""
    marks: Sequence[PhotoMark] = ()


def read_shown_captions(run_dir: Path, images: Container[str]) -> Captions:
    """Read the captions of photos, each captioned alone.

    Raises: RunError for rows of another form.

        captions = read_shown_captions(Path("out"), set(summary.images))
    """
    return {
        row.images[0]: row
        for path in caption_files(run_dir)
        for row in read_captions(path)
        if len(row.images) == 1 and row.images[0] in images
    }


def mark_groups(run_dir: Path, summaries: Iterable[SummaryRow]) -> dict[str, PhotoMarks]:
    """Find what is told of the photos of groups beside the model, by their key.

    Raises: RunError for rows or a manifest that cannot be read.

        marks = mark_groups(Path("out"), [summary])[summary.key]
    """
    paths = list_rows_files(run_dir / "stage_a")
    with opened_index(paths, earlier_runs_of(run_dir)) as index:
        return {
            row.key: mark_photos(row, index.find(owner_of(row), facts_of(row))) for row in summaries
        }


def show_photos(
    group: SheetGroup, captions: Captions, marks: PhotoMarks | None, side: int
) -> Iterator[ShownPhoto]:
    """Show each photo with its line; rows of other tools may hold either without the other.

    Several are opened at once. Units: `side` in pixels, of the longer side.

        pictures = [photo.jpeg for photo in show_photos(group, {}, None, 480)]
    """
    summary = group.summary
    named = photos_named(group.row.reason)
    locations = {photo_key(index): photo for index, photo in enumerate(group.photos)}
    images = {photo_key(index): image for index, image in enumerate(group.images)}

    def render(key: str) -> _Picture:
        location = locations.get(key)
        if location is None:
            return _Picture(problem=NO_PATH)
        return _render(location, captions.get(images.get(key, "")), side)

    with ThreadPoolExecutor(THREADS) as pool:
        pictures = list(pool.map(render, group.photo_keys))
    for index, (key, picture) in enumerate(zip(group.photo_keys, pictures, strict=True)):
        location = locations.get(key)
        yield ShownPhoto(
            key,
            printable(location.name) if location is not None else "",
            summary.per_image.get(key, "") if summary else "",
            picture.jpeg,
            picture.size_wh,
            picture.problem,
            key in named,
            summary.damaged_inside(key) if summary else "",
            marks.of_photo(index) if marks and location is not None else (),
        )


class _Picture(NamedTuple):
    """A photo as JPEG with its size, or the code of what is wrong with it."""

    jpeg: bytes = b""
    size_wh: tuple[int, int] = (0, 0)
    problem: str = ""


def _render(location: Location, caption: CaptionRow | None, side: int) -> _Picture:
    """Render a photo as JPEG."""
    try:
        if caption is None:
            image = photos.preview(location, side)
        else:
            image = draw_caption(
                photos.preview(location, DRAWN_SIDE), from_grouped(caption.caption).photos[0]
            )
            image.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
    except PhotoError as error:
        return _Picture(problem=error.code)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return _Picture(buffer.getvalue(), image.size)
