"""`shenhe convert` and `evaluate captions`: out, back as truth, and bad rows named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.exports import write_export
from shenhe.formats.desc import category
from tests.annotated import paint


def test_out_to_a_tool_and_back_as_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [paint(tmp_path / "photos" / name / "a.jpg", rotated=True) for name in "甲乙"]
    rows, sent = tmp_path / "rows.jsonl", tmp_path / "sent"
    write_export("training", photos, rows, category)
    assert exit_code(["convert", str(rows), "--format", "labelme", "--output", str(sent)]) == 0
    truth = tmp_path / "truth.jsonl"
    back = ["convert", str(sent), "--photos", str(tmp_path / "photos"), "--format", "training"]
    assert exit_code([*back, "--output", str(truth)]) == 0
    assert sorted(truth.read_text("utf-8").splitlines()) == sorted(
        rows.read_text("utf-8").splitlines()
    )
    capsys.readouterr()
    for source in (truth, sent):
        measured = ["evaluate", "captions", "--predictions", str(rows), "--truth", str(source)]
        code = exit_code(
            [*measured, "--photos", str(tmp_path / "photos"), "--json", str(sent / "j")]
        )
        assert code == 0
        figures = json.loads((sent / "j").read_text())
        assert (figures["photos"], figures["joint"]["f1"]) == (2, 1.0)
    assert "not in" not in capsys.readouterr().err


def test_a_bad_row_is_named_and_the_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    write_export("training", [paint(tmp_path / "a.jpg")], rows, category)
    rows.write_bytes(rows.read_bytes() + b"{\n" * 60 + rows.read_bytes())
    out = tmp_path / "out"
    assert exit_code(["convert", str(rows), "--format", "coco", "--output", str(out)]) == 1
    printed = capsys.readouterr().err
    assert f"{rows}: line 2: " in printed
    assert "and 10 more" in printed
    assert "not read: 60; the others are" in printed
    measured = ["evaluate", "captions", "--predictions", str(rows), "--truth", str(rows)]
    assert exit_code(measured) == 1
    assert f"{rows}: line 2: " in capsys.readouterr().err
    assert exit_code(["convert", str(tmp_path / "none"), "--format", "coco", "--output", "o"]) == 2
    assert "cannot be read" in capsys.readouterr().err
