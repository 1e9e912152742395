"""Exports open in the libraries of the tools they are for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shenhe.exports import write_export
from shenhe.formats.desc import category
from shenhe.geometry import to_pixels
from tests.annotated import SIZE, THINGS, paint

pytestmark = pytest.mark.peers
TOOLS = ["supervision==0.31.2", "label-studio-sdk==2.1.2", "labelme==6.3.1"]
X_ANYLABELING = ["x-anylabeling-cvhub==4.2.1", "onnxruntime", "PyQt6==6.9.1", "PyQt6-Qt6==6.9.1"]
X_READER = """
import json, pathlib, sys
from anylabeling.views.labeling.label_file import LabelFile
(path,) = pathlib.Path(sys.argv[1]).glob("*.json")
shapes = LabelFile(str(path)).shapes
print(json.dumps([[s.shape_type, [[p.x(), p.y()] for p in s.points]] for s in shapes]))
"""
READER = Path(__file__).with_name("read_exports.py")


def test_exports_open_in_their_tools(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *TOOLS], check=True)
    annotation = paint(tmp_path / "a.jpg", rotated=True)
    for name in ("labelme", "label-studio", "yolo-obb"):
        write_export(name, [annotation], tmp_path / "out" / name, category)
    done = subprocess.run(
        [python, READER, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert [shape[:2] for shape in seen["labelme"]] == [
        ["BBU设备", "rectangle"],
        ["标签", "polygon"],
        ["光纤", "linestrip"],
    ]
    assert seen["labelme"][0][2] == [[40, 30], [160, 120]]
    assert seen["label-studio"]["errors"] == []
    assert seen["label-studio"]["task"]
    classes, corners = seen["yolo-obb"]
    assert classes == ["BBU设备", "标签"]
    for found, thing in zip(corners, THINGS, strict=False):
        placed = to_pixels(thing.shape, SIZE).points
        for (x, y), (a, b) in zip(found, placed, strict=True):
            assert abs(x - a) < 0.1
            assert abs(y - b) < 0.1


def test_x_anylabeling_opens_its_export(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *X_ANYLABELING], check=True)
    annotation = paint(tmp_path / "a.jpg", rotated=True)
    write_export("x-anylabeling", [annotation], tmp_path / "out", category)
    done = subprocess.run(
        [python, "-c", X_READER, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["rectangle", [[40, 30], [160, 30], [160, 120], [40, 120]]],
        ["polygon", [[240, 60], [360, 30], [380, 90], [260, 120]]],
        ["linestrip", [[40, 210], [200, 270], [360, 210]]],
    ]
