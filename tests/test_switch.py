"""The example that takes an older pipeline over, on what such a pipeline leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from PIL import Image
from pycocotools.coco import COCO

from shenhe.checkpoints.merge import merge_adapters
from tests.conftest import DEMO, MISSION
from tests.warm import SHENHE

ROOT = Path(__file__).parent.parent
LAUNCHER = """#!/usr/bin/env bash
# As it was started every night: settings in the environment.
set -euo pipefail
mission=挡风板安装检查 gpu=cpu batch_size=4 verify_inputs=true bash scripts/stage_a_infer.sh
"""
HEADER = "<DOMAIN=BBU>, <TASK=SUMMARY>"
FITTED = {
    "统计": [
        {
            "类别": "BBU设备",
            "品牌": {"华为": 1},
            "可见性": {"显示完整": 1},
            "挡风板需求": {"机柜空间充足需要安装": 1},
            "挡风板符合性": {"按要求配备了挡风板": 1},
        },
        {
            "类别": "挡风板",
            "品牌": {"华为": 1},
            "可见性": {"显示完整": 1},
            "安装方向": {"安装方向正确": 1},
        },
    ]
}
WRONG_WAY = {"统计": [{"类别": "挡风板", "安装方向": {"安装方向错误": 1}}]}
PASSED = "Verdict: 通过\n\nReason: Image1: 挡风板已安装; 总结: 符合要求"
FAILED = "Verdict: 不通过\nReason: Image1: 挡风板方向错误; 总结: 不符合要求"
ARCHIVE: dict[str, tuple[str, list[dict[str, Any] | None], str, str | None]] = {
    "QC-20240105-0000001": ("pass", [FITTED, None], PASSED, "通过"),
    "QC-20240105-0000002": ("fail", [WRONG_WAY], FAILED, "不通过"),
    "QC-20240105-0000003": ("fail", [FITTED, WRONG_WAY], PASSED, None),
    "QC-20240105-0000004": ("fail", [FITTED], "Verdict: 需复核\nReason: 看不清", None),
}
"""The label, a summary a photo (None: nothing relevant), the verdict's text; what is decided."""


def _jsonl(path: Path, rows: Iterable[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos, rows, rules, training rows and the launcher of an older pipeline."""
    folder = tmp_path_factory.mktemp("old")
    for label in ("审核通过", "审核不通过"):
        for group in sorted((DEMO / "photos" / MISSION / label).iterdir())[:2]:
            shutil.copytree(group, folder / "photos" / MISSION / label / group.name)
    (folder / "launch.sh").write_text(LAUNCHER, "utf-8")
    experiences = {"G0": "需要安装挡风板而未安装则不通过", "G1": "安装方向错误则不通过"}
    guidance = {MISSION: {"step": 4, "focus": "核对挡风板", "experiences": experiences}}
    (folder / "guidance.json").write_text(json.dumps(guidance, ensure_ascii=False), "utf-8")
    _jsonl(folder / "stage_a" / f"{MISSION}_stage_a.jsonl", map(_archived_lines, ARCHIVE))
    verdicts = ({"group_id": group, "raw": ARCHIVE[group][2]} for group in ARCHIVE)
    _jsonl(folder / "stage_b" / f"{MISSION}.jsonl", verdicts)
    photos = sorted((folder / "photos").rglob("*.jp*g"))[:2]
    _jsonl(folder / "train.jsonl", [_training_row(folder, photo) for photo in photos])
    return folder


def _archived_lines(group: str) -> dict[str, Any]:
    label, summaries, _, _ = ARCHIVE[group]
    texts = [
        f"{HEADER}\n{json.dumps(summary, ensure_ascii=False)}" if summary else "无关图片"
        for summary in summaries
    ]
    return {
        "group_id": group,
        "label": label,
        "images": [f"{group}_{number}.jpeg" for number, _ in enumerate(texts, 1)],
        "per_image": {f"image_{number}": text for number, text in enumerate(texts, 1)},
        "raw_texts": texts,
        "gt_fail_reason_text": "" if label == "pass" else "挡风板装反",
    }


def _training_row(folder: Path, photo: Path) -> dict[str, Any]:
    copy = folder / "train_photos" / photo.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(photo, copy)
    with Image.open(copy) as image:
        width, height = image.size
    hexagon = [100, 40, 200, 40, 240, 100, 200, 160, 100, 160, 60, 100]
    objects = [
        {"poly": hexagon, "poly_points": 6, "desc": "类别=标签,文本=4G"},
        {"bbox_2d": [10, 10, 300, 200], "desc": "类别=BBU设备,品牌=华为"},
        {"line": [5, 5, 50, 60, 90, 70], "line_points": 3, "desc": "类别=光纤"},
    ]
    name = f"train_photos/{copy.name}"
    return {"images": [name], "objects": objects, "width": width, "height": height}


@pytest.fixture(scope="module")
def switched(old: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("switch")
    merge_adapters("demo", ["demo"], folder / "merged")
    command = folder / "bin" / "shenhe"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {" ".join(SHENHE)} "$@"\n')
    command.chmod(0o755)
    before = _content(old)
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "examples" / "switch" / "switch.py", old),
            *("--model", folder / "merged", "--output-dir", folder / "out"),
        ],
        env=os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert _content(old) == before, "what was there is as it was"
    return folder / "out", done.stdout


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_archive_is_decided_by_its_lines(switched: tuple[Path, str]) -> None:
    rows = _rows(switched[0] / "archive" / "stage_b" / f"{MISSION}.jsonl")
    assert {row["group_id"]: row["verdict"] for row in rows} == {
        group: decided for group, (*_, decided) in ARCHIVE.items()
    }
    why = {row["group_id"]: row["meta"]["why"] for row in rows}
    assert why["QC-20240105-0000003"] == ["evidence_against"]
    assert "format" in why["QC-20240105-0000004"]
    assert rows[1]["extra"]["gt_fail_reason_text"] == "挡风板装反"


def test_the_model_has_looked_at_every_photo(old: Path, switched: tuple[Path, str]) -> None:
    out, said = switched
    rows = _rows(out / "run" / "stage_a" / f"{MISSION}.jsonl")
    looked_at = {image for row in rows for image in row["images"]}
    assert looked_at == {str(path) for path in (old / "photos").rglob("*.jp*g")}
    assert len(_rows(out / "run" / "stage_b" / f"{MISSION}.jsonl")) == len(rows) == 4
    assert "answers 200" in said


def test_there_are_reports_and_a_list_for_the_contractor(switched: tuple[Path, str]) -> None:
    out, _ = switched
    for run, group in ((out / "archive", "QC-20240105-0000003"), (out / "run", "QC-")):
        assert group in (run / "report" / "index.html").read_text("utf-8")
    (sheet, *_) = openpyxl.load_workbook(out / "photos.xlsx").worksheets
    assert sheet.max_row >= 5


def test_training_rows_are_truth_and_go_on_to_other_tools(switched: tuple[Path, str]) -> None:
    out, said = switched
    (annotations,) = (out / "coco").rglob("*.json")
    coco = COCO(annotations)
    assert len(coco.anns) == 6
    assert "F1" in said
