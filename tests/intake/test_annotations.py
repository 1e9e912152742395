"""Training rows and caption rows become annotations in one coordinate frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shenhe.errors import IntakeError
from shenhe.exports import write_export
from shenhe.formats.desc import category
from shenhe.geometry import Box, Line, Polygon, Size, round_coordinates
from shenhe.imports import Reading
from shenhe.intake import read_annotations
from shenhe.values import CaptionObject
from tests.annotated import SIZE, paint

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


@pytest.mark.parametrize(
    "names",
    [
        {"images": "照片/a.jpg"},
        {"image": "照片/a.jpg"},
        {"image_1": "照片/a.jpg"},
        {"image": ["照片/a.jpg"]},
        {"images": [{"path": "照片/a.jpg", "bytes": None}]},
        {"images": ["../照片/a.jpg"]},
        {"images": ["a.jpg"]},
    ],
)
def test_a_photo_is_named_and_measured(names: dict[str, Any], tmp_path: Path) -> None:
    """By several keys, from its base name where the user says; and upright, if no size is told."""
    photo = paint(tmp_path / "照片" / "a.jpg", rotated=True).image
    row = {"objects": [{"bbox_2d": [40, 30, 160, 120], "desc": "标签"}], "summary": None, **names}
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    (annotation,) = read_annotations(path, photos_folder=tmp_path / "照片")
    assert (annotation.image, annotation.size_wh) == (photo, SIZE)
    assert round_coordinates(annotation.objects[0].shape) == Box(100, 100, 400, 400)


def test_what_another_tool_said_goes_out_again(tmp_path: Path) -> None:
    summary = {"统计": [{"类别": "标签"}], "备注": []}
    row = ROW | {"summary": summary, "fail_reason": "标签不一致", "source": {"batch": 3}}
    write_export(
        "training",
        read_annotations(_write(tmp_path / "t.jsonl", row)),
        tmp_path / "again.jsonl",
        category,
    )
    assert json.loads((tmp_path / "again.jsonl").read_text(encoding="utf-8")) == row


CONVERSATION = {
    "messages": [
        {"role": "user", "content": "图片_1: <image>\n图片_2: <image>\n标注"},
        {
            "role": "assistant",
            "content": '{"图片_1": {"object_1": {"bbox_2d": [100, 100, 400, 400], "desc": "标签"}},'
            ' "图片_2": {}}',
        },
    ],
    "images": ["a.jpg", "b.jpg"],
}


def test_bad_rows_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        paint(tmp_path / name)
    bad = [
        b"{",
        b'"text"',
        b"\xff",
        b"[" * 100_000,
        json.dumps(ROW).encode()[:-1] + b', "objects": []}',
        json.dumps(ROW | {"objects": [{"bbox_2d": [1, 2, float("nan"), 9], "desc": "a"}]}).encode(),
        json.dumps(ROW | {"objects": [{"bbox_2d": [1, 2, 9e9, 9], "desc": "a"}]}).encode(),
        json.dumps(ROW | {"objects": [{"quad": [0, 0, 9, 9, 9, 0, 0, 9], "desc": "a"}]}).encode(),
        json.dumps({"images": ["gone.jpg"], "objects": []}).encode(),
        json.dumps({"objects": [], "width": 4, "height": 3}).encode(),
        json.dumps(CONVERSATION | {"images": ["a.jpg"]}).encode(),
        json.dumps(CONVERSATION | {"messages": [{"role": "user", "content": "{}"}]}).encode(),
    ]
    good = [json.dumps(ROW).encode(), b"", json.dumps(CONVERSATION).encode()]
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join([*good[:1], *bad, *good[1:]]) + b"\n")
    reading = Reading()
    annotations = list(read_annotations(path, reading))
    assert [item.image.name for item in annotations] == ["a.jpg", "a.jpg", "b.jpg"]
    lines = [int(fault.split("line ")[1].split(":")[0]) for fault in reading.faults]
    assert lines == list(range(2, 2 + len(bad)))
