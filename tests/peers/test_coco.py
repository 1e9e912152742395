"""A COCO folder opens in supervision and Datumaro, and what they write of it comes back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from shenhe.exports import write_export
from shenhe.formats.desc import category
from shenhe.geometry import Box, Line, to_numbers, to_pixels
from shenhe.imports import Reading
from shenhe.intake import read_annotations
from tests.annotated import SIZE, THINGS, paint
from tests.peers.environments import environment

pytestmark = pytest.mark.peers
TOOLS = ("datumaro==1.13.12", "supervision==0.31.2")
READER = Path(__file__).with_name("read_coco.py")


def test_two_tools_open_the_folder_and_write_it_back(tmp_path: Path) -> None:
    python = environment("coco", TOOLS)
    annotation = paint(tmp_path / "照片 1" / "a b.jpg", rotated=True)
    write_export("coco", [annotation], tmp_path / "coco", category)
    run = [python, READER, tmp_path / "coco", tmp_path / "theirs"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    shape = [SIZE.height, SIZE.width, 3]
    box, quad, line = ([40, 30, 160, 120], [240, 30, 380, 120], [40, 210, 360, 270])
    classes, pixels, boxes, areas = seen["supervision"]
    assert (classes, pixels) == (["BBU设备", "标签", "光纤"], shape)
    assert boxes == [box, quad, line]
    assert areas[1] == pytest.approx(7800, rel=0.03)
    corners = [float(number) for number in to_numbers(to_pixels(THINGS[1].shape, SIZE))]
    kinds = [("Bbox", box), ("Bbox", quad), ("Polygon", corners), ("Bbox", line)]
    things = (THINGS[0], THINGS[1], THINGS[1], THINGS[2])
    expected = [[kind, thing.desc, at] for (kind, at), thing in zip(kinds, things, strict=True)]
    assert seen["datumaro"] == ["coco_instances", shape, sorted(expected)]

    # Their files keep no line: its box comes back.
    kept = {thing.desc: thing.shape for thing in THINGS if not isinstance(thing.shape, Line)}
    for name in ("coco", "cvat"):
        reading = Reading()
        (back,) = read_annotations(tmp_path / "theirs" / name, reading)
        assert not reading.faults
        assert back.size_wh == SIZE
        shapes = [(item.desc, item.shape) for item in back.objects]
        assert {desc: shape for desc, shape in shapes if desc in kept} == kept, name
        assert len(shapes) == len(THINGS), name
    (back,) = read_annotations(tmp_path / "theirs" / "boxes")
    assert [item.desc for item in back.objects] == [category(item.desc) for item in THINGS]
    assert isinstance(back.objects[0].shape, Box)
