"""Overlays: shapes lie on their things, and everything can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shenhe.geometry import Box, Size, to_pixels
from shenhe.overlays import draw_caption, overlay_path, write_overlay
from shenhe.overlays.draw import COLOURS, MIN_SIDE, colour_of
from shenhe.values import CaptionObject
from tests.annotated import RED, THINGS, near, paint


@pytest.mark.parametrize("rotated", [False, True])
def test_shapes_lie_on_their_things_also_where_the_photo_is_stored_on_its_side(
    tmp_path: Path, rotated: bool
) -> None:
    annotation = paint(tmp_path / "a.jpg", rotated=rotated)
    write_overlay(annotation.image, annotation.objects, tmp_path / "o.jpg")
    with Image.open(tmp_path / "o.jpg") as sheet:
        assert sheet.width == MIN_SIDE
        size = Size(MIN_SIDE, MIN_SIDE * 3 // 4)
        box = to_pixels(THINGS[0].shape, size)
        assert isinstance(box, Box)
        inside = sheet.getpixel((round((box.x1 + box.x2) / 2), round((box.y1 + box.y2) / 2)))
        assert near(inside, RED)
        edge = sheet.getpixel((round((box.x1 + box.x2) / 2), round(box.y2)))
        assert near(edge, COLOURS["BBU设备"])


@pytest.mark.parametrize("shade", [0, 255])
def test_outlines_stand_out_on_dark_and_on_bright_photos(shade: int) -> None:
    photo = Image.new("RGB", (1200, 900), (shade, shade, shade))
    for item in THINGS:
        sheet = np.asarray(draw_caption(photo, [item]).convert("L"), dtype=int)
        changed = np.abs(sheet[:900] - shade) > 100
        assert changed.sum() > 500, item.desc


def test_every_object_has_its_line_in_the_legend() -> None:
    photo = Image.new("RGB", (1200, 900))
    single = draw_caption(photo, THINGS[:1])
    triple = draw_caption(photo, THINGS)
    assert triple.height > single.height > photo.height
    legend = np.asarray(triple.crop((0, 900, 1200, triple.height)).convert("L"))
    rows = (legend > 150).any(axis=1)
    lines = np.flatnonzero(np.diff(rows.astype(int)) == 1)
    assert len(lines) >= 3
    long = CaptionObject(Box(0, 0, 10, 10), "螺丝、光纤插头/" * 40)
    assert draw_caption(photo, [long]).height > triple.height


def test_chinese_is_drawn_as_itself_and_control_characters_are_not() -> None:
    photo = Image.new("RGB", (1200, 900))

    def legend(desc: str) -> bytes:
        return draw_caption(photo, [CaptionObject(Box(0, 0, 9, 9), desc)]).tobytes()

    assert legend("华为") != legend("中兴") != legend("爱立")
    assert legend("标签/华\n为") == legend("标签/华 为")
    legend("龘😀\ud800")


def test_no_objects_is_said() -> None:
    photo = Image.new("RGB", (1200, 900))
    assert draw_caption(photo, []).height > 900


def test_colours_are_those_of_the_category() -> None:
    assert colour_of("BBU设备/华为") == colour_of("BBU设备,中兴") == COLOURS["BBU设备"]
    assert colour_of("机柜/关闭") == colour_of("机柜/打开")


def test_overlays_of_one_name_stay_apart() -> None:
    folder = Path("o")
    names = {
        overlay_path(folder, Path("a/img.jpg")),
        overlay_path(folder, Path("b/img.jpg")),
        overlay_path(folder, Path("a/img.jpg"), "seen with others"),
    }
    assert len(names) == 3
