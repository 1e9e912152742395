"""Training rows and caption rows become annotations in one coordinate frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shenhe.errors import IntakeError
from shenhe.geometry import Box, Line, Polygon, Size, round_coordinates
from shenhe.intake import read_annotations
from shenhe.values import CaptionObject

ROW: dict[str, Any] = {
    "images": ["照片/a.jpg"],
    "objects": [
        {"bbox_2d": [32, 24, 320, 240], "desc": "BBU设备/华为"},
        {"line": [0, 0, 64, 48], "line_points": 2, "desc": "光纤"},
    ],
    "width": 640,
    "height": 480,
    "summary": "BBU设备/华为×1",
    "id": "of another tool",
}


def _write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_training_row(tmp_path: Path) -> None:
    (annotation,) = read_annotations(_write(tmp_path / "t.jsonl", ROW))
    assert annotation.image == tmp_path / "照片" / "a.jpg"
    assert annotation.size_wh == Size(640, 480)
    assert [
        CaptionObject(round_coordinates(entry.shape), entry.desc) for entry in annotation.objects
    ] == [
        CaptionObject(Box(50, 50, 500, 500), "BBU设备/华为"),
        CaptionObject(Line(((0, 0), (100, 100))), "光纤"),
    ]
    assert annotation.summary == "BBU设备/华为×1"


@pytest.mark.parametrize("count", [{}, {"poly_points": 3}])
def test_a_polygon_of_a_training_row(tmp_path: Path, count: dict[str, int]) -> None:
    row = ROW | {"objects": [{"poly": [0, 0, 640, 0, 64, 48], **count, "desc": "标签"}]}
    (annotation,) = read_annotations(_write(tmp_path / "t.jsonl", row))
    shapes = [round_coordinates(entry.shape) for entry in annotation.objects]
    assert shapes == [Polygon(((0, 0), (1000, 0), (100, 100)))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width"),
        ({"images": ["a.jpg", "b.jpg"]}, "images"),
        ({"images": ["nosuch://b/a.jpg"]}, "nosuch:// is unknown"),
        ({"images": ["gs://b/a.jpg"]}, "gcsfs"),
        ({"objects": [{"desc": "a"}]}, "object 1 needs one of"),
        ({"objects": [{"bbox_2d": [1, 2, 3, 4], "quad": [0] * 8, "desc": "a"}]}, "object 1 needs"),
        ({"objects": [{"bbox_2d": [9, 2, 3, 4], "desc": "a"}]}, "inverted"),
        ({"objects": [{"line": [9, 2, 3, 4], "line_points": 3, "desc": "a"}]}, "line_points 3"),
        ({"objects": [{"bbox_2d": [1, 2, 3, 4], "desc": ""}]}, "desc"),
        ({"objects": [{"poly": [9, 2, 3, 4], "desc": "a"}]}, "3 to 64 corners"),
        ({"objects": [{"poly": [9, 2, 3, 4, 5], "desc": "a"}]}, "3 to 64 corners"),
        ({"objects": [{"poly": [9, 2] * 65, "desc": "a"}]}, "3 to 64 corners"),
        (
            {"objects": [{"poly": [1, 2, 9, 2, 5, 7], "poly_points": 4, "desc": "a"}]},
            "poly_points 4",
        ),
        ({"caption": {}}, "caption|sizes_wh"),
    ],
)
def test_an_invalid_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = _write(tmp_path / "t.jsonl", ROW, ROW | change)
    with pytest.raises(IntakeError, match="line 2") as caught:
        list(read_annotations(path))
    assert any(part in str(caught.value) for part in message.split("|"))
