"""`caption`, `convert` and `evaluate captions`, as a user runs them, on the bundled checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import MODEL
from tests.conftest import DEMO
from tests.warm import SHENHE

PHOTOS = DEMO / "photos" / "BBU安装方式检查（正装）"


def _shenhe(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    run = subprocess.run([*SHENHE, *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one mission, one of them in a list too, and a damaged one; captions, overlays."""
    folder = tmp_path_factory.mktemp("照片")
    shutil.copytree(PHOTOS, folder / "photos")
    photos = sorted(folder.joinpath("photos").rglob("img-*"))
    (folder / "photos" / "damaged.jpg").write_bytes(photos[0].read_bytes()[:3000])
    names = [os.path.relpath(photos[0], folder)]
    (folder / "list.jsonl").write_text(json.dumps({"images": names}) + "\n", encoding="utf-8")
    out = folder / "out"
    sources = [folder / "photos", folder / "list.jsonl"]
    limited = _shenhe(
        *("caption", *sources, *MODEL, "--output", out / "c.jsonl", "--limit", 3), code=1
    )
    assert "2 captions done, 1 failed" in limited.stderr
    run = _shenhe(
        *("caption", *sources, *MODEL, "--output", out / "c.jsonl", "--draw", out / "overlays"),
        code=1,
    )
    assert "2 of them before, 1 failed" in run.stderr
    assert "1 named_again" in run.stderr
    return folder


def test_rows_failures_and_manifest(captioned: Path) -> None:
    rows = _rows(captioned / "out" / "c.jsonl")
    photos = sorted(captioned.joinpath("photos").rglob("img-*"))
    assert len(rows) == len(photos)
    assert len({tuple(row["images"]) for row in rows}) == len(rows)
    assert list(rows[0]) == ["images", "caption", "sizes_wh", "raw", "repairs", "timestamp", "meta"]
    assert rows[0]["sizes_wh"] == [[640, 512]]
    assert rows[0]["meta"]["resized_wh"] == [[320, 256]]
    assert rows[0]["meta"]["answers"]["caption"]["finish_reason"] == "stop"
    (failure,) = _rows(captioned / "out" / "c.failures.jsonl")
    assert failure["code"] == "truncated"
    assert failure["item"].endswith("damaged.jpg")
    manifest = json.loads((captioned / "out" / "c.manifest.json").read_text(encoding="utf-8"))
    assert manifest["options"]["coordinates"] == "norm1000"
    assert manifest["passed_over"]["named_again"] == 1


def test_every_photo_of_every_row_has_an_overlay(captioned: Path) -> None:
    rows = _rows(captioned / "out" / "c.jsonl")
    drawn = list((captioned / "out" / "overlays").glob("*.jpg"))
    assert len(drawn) == sum(len(row["images"]) for row in rows)


def test_another_option_is_refused(captioned: Path) -> None:
    run = _shenhe(
        *("caption", captioned / "photos", *MODEL, "--output", captioned / "out" / "c.jsonl"),
        *("--coordinates", "norm100"),
        code=2,
    )
    assert "coordinates was 'norm1000', now 'norm100'" in run.stderr


def test_a_dry_run_says_what_is_missing(captioned: Path) -> None:
    run = _shenhe(
        *("caption", captioned / "photos", *MODEL, "--output", captioned / "out" / "c.jsonl"),
        "--dry-run",
    )
    assert "would do 1 (1 photos)" in run.stdout


def test_captions_to_training_rows_and_back_are_all_right(captioned: Path) -> None:
    truth = captioned / "truth.jsonl"
    captions = captioned / "out" / "c.jsonl"
    _shenhe("convert", captions, "--format", "training", "--output", truth)
    run = _shenhe(
        *("evaluate", "captions", "--predictions", captions, "--truth", truth),
        *("--json", captioned / "m.json", "--html", captioned / "m.html"),
    )
    figures = json.loads((captioned / "m.json").read_text(encoding="utf-8"))
    assert figures["desc"]["exact"] == 1
    assert figures["geometry"]["bbox_2d"]["f1"] == 1
    assert figures["format_errors"] == {"truncated": 1}
    assert "Found where it is" in run.stdout
    assert "data:image/jpeg" in (captioned / "m.html").read_text(encoding="utf-8")


def test_convert_says_what_a_format_cannot_hold(captioned: Path) -> None:
    output = captioned / "yolo"
    command = ["convert", captioned / "out" / "c.jsonl", "--format", "yolo-obb"]
    run = _shenhe(*command, "--output", output)
    assert "descs: YOLO-OBB holds no more than the label" in run.stderr
    assert "--overwrite" in _shenhe(*command, "--output", output, code=2).stderr
    _shenhe(*command, "--output", output, "--overwrite", "true")


def test_what_is_no_caption_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"group_id": "1"}\n', encoding="utf-8")
    run = _shenhe("convert", path, "--format", "coco", "--output", tmp_path / "o", code=2)
    assert "line 1" in run.stderr
    assert run.stderr.count("\n") == 1


def test_descs_held_to_a_vocabulary(captioned: Path, tmp_path: Path) -> None:
    photo = next(iter(sorted(captioned.joinpath("photos").rglob("img-*"))))
    own = tmp_path / "own.toml"
    own.write_text('schema = 1\npaths = ["设备/(甲|乙)", "其他"]\n', encoding="utf-8")
    _shenhe("caption", photo, *MODEL, "--output", tmp_path / "c.jsonl", "--vocabulary", own)
    (row,) = _rows(tmp_path / "c.jsonl")
    descs = [thing["desc"] for thing in row["caption"]["图片_1"].values()]
    assert descs
    assert set(descs) <= {
        "设备/甲",
        "设备/乙",
        "其他",
        "设备,甲",
        "设备,乙",
        "设备，甲",
        "设备，乙",
    }
    # Another vocabulary makes other rows: the same file is not gone on with.
    run = _shenhe(
        *("caption", photo, *MODEL, "--output", tmp_path / "c.jsonl", "--vocabulary"), code=2
    )
    assert "vocabulary was" in run.stderr
    own.write_text('schema = 1\npaths = ["设备/("]\n', encoding="utf-8")
    words = ("caption", photo, *MODEL, "--output", tmp_path / "d.jsonl", "--vocabulary", own)
    assert "is no regular expression" in _shenhe(*words, code=2).stderr
