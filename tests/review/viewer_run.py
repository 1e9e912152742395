"""A run whose groups have photos of all kinds, with captions, for the tests of the viewer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from shenhe.row_types import CaptionRow, Evidence
from shenhe.values import EvidenceItem
from tests.review.runs import Group, write_captions, write_run

FEW, MANY, ODD, PLAIN = "1", "2", "3", "4"
"""The missions of the groups, in the order of their numbers."""
DESCS = (
    "BBU设备/华为/显示完整",
    "</script><b>标签</b>/\u202eabc",
    "电线/捆扎整齐" + "，很长" * 200,
)
ITEMS = [EvidenceItem("机柜处接地螺丝", "need", "seen", right=("图片_2", "图片_3"))]


def write_viewer_run(folder: Path, photos: Sequence[Path]) -> Path:
    """Write groups: with objects and evidence, of 300 photos, of odd photos, and plain ones."""
    few = Group("few", mission=FEW, p_pass=0.1, evidence=Evidence(rules="a" * 16, items=ITEMS))
    write_run(folder, [few], photos[:3])
    write_run(folder, [Group("many", mission=MANY, p_pass=0.2)], _linked(folder, photos, 300))
    write_run(folder, [Group("odd", mission=ODD, p_pass=0.3)], _odd(folder / "odd"))
    plain = [Group(f"plain-{n}", mission=PLAIN, p_pass=0.4 + n / 100) for n in range(9)]
    write_run(folder, plain, photos[3:5])
    _write_objects(folder, photos[0], _shapes())
    return folder


def _linked(folder: Path, photos: Sequence[Path], count: int) -> list[Path]:
    links = [folder / "many" / f"img-{number:03d}.jpeg" for number in range(count)]
    links[0].parent.mkdir(parents=True)
    for number, link in enumerate(links):
        link.symlink_to(photos[number % len(photos)])
    return links


def _odd(folder: Path) -> list[Path]:
    """One pixel, a panorama, a photo on its side (its top is red), and a file that is none."""
    folder.mkdir()
    tiny, wide, turned, broken = (folder / name for name in ("1.png", "2.jpg", "3.jpg", "4.jpg"))
    Image.new("RGB", (1, 1), "red").save(tiny)
    Image.new("RGB", (4800, 1200), "navy").save(wide)
    sideways = Image.new("RGB", (600, 400), "gray")
    ImageDraw.Draw(sideways).rectangle((0, 0, 100, 400), fill="red")
    exif = Image.Exif()
    exif[0x112] = 6
    sideways.save(turned, exif=exif)
    broken.write_bytes(b"\xff\xd8\xff\xe0 cut")
    return [tiny, wide, turned, broken]


def _shapes() -> dict[str, Any]:
    """Three that stand apart, one without any extent, and a hundred small ones."""
    box = {"bbox_2d": [100, 100, 400, 400], "desc": DESCS[0]}
    quad = {"quad": [600, 100, 800, 120, 790, 300, 610, 290], "desc": DESCS[1]}
    line = {"line": [100, 600, 300, 700, 500, 650], "line_points": 3, "desc": DESCS[2]}
    point = {"line": [900, 900, 900, 900], "line_points": 2, "desc": "光纤/有保护措施"}
    small = [
        {"bbox_2d": [550 + 4 * n, 600, 553 + 4 * n, 620], "desc": "标签/无法识别"}
        for n in range(100)
    ]
    return {f"object_{n}": item for n, item in enumerate((box, quad, line, point, *small), 1)}


def _write_objects(folder: Path, photo: Path, shapes: dict[str, Any]) -> None:
    write_captions(folder, [photo])
    path = folder / "captions.jsonl"
    row = json.loads(path.read_text("utf-8"))
    row["caption"] = {"图片_1": shapes}
    path.write_text(CaptionRow.model_validate(row).to_json() + "\n", "utf-8")
