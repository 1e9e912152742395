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


def test_what_captions_do_not_hold_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    write_export("training", [paint(tmp_path / "a.jpg")], rows, category)
    row = json.loads(rows.read_text("utf-8"))
    for thing in row["objects"]:
        thing |= {"score": 0.5, "跟踪": None}
    row["objects"][0] |= {f"key{number}": 1 for number in range(40)}
    rows.write_text(json.dumps(row | {"site": "甲"}), encoding="utf-8")
    command = ["convert", str(rows), "--output", str(tmp_path / "out"), "--format"]
    assert exit_code([*command, "training"]) == 0
    printed = capsys.readouterr().err
    assert "of the source: 3 objects with the key 'score': left out" in printed
    assert "further keys of objects" in printed
    assert "跟踪" not in printed
    assert printed.count("\n") < 30
    assert "rows with other keys" not in printed
    assert exit_code([*command, "labelme", "--overwrite"]) == 0
    assert "not held: 1 rows with other keys" in capsys.readouterr().err


def test_conversations_are_in_the_format_of_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, rows = paint(tmp_path / "a.jpg"), tmp_path / "rows.jsonl"
    written, back = tmp_path / "domain.jsonl", tmp_path / "back.jsonl"
    write_export("training", [photo], rows, category)
    domain = ["--formats", "domain"]
    command = ["convert", str(rows), "--format", "messages", "--output", str(written), *domain]
    assert exit_code(command) == 0
    turns = json.loads(written.read_text("utf-8"))["messages"]
    header, _, objects = turns[-1]["content"].partition("\n")
    assert header == "<DOMAIN=BBU>, <TASK=DETECTION>"
    assert len(json.loads(objects)) == len(photo.objects)
    assert "poly_points" in json.loads(objects)["object_2"]
    command = ["convert", str(written), "--format", "training", "--output", str(back)]
    assert exit_code(command) == 2
    assert "--formats domain" in capsys.readouterr().err
    assert exit_code([*command, *domain]) == 0
    assert back.read_text("utf-8") == rows.read_text("utf-8")
    plain = ["convert", str(rows), "--format", "messages", "--output", str(tmp_path / "p.jsonl")]
    assert exit_code(plain) == 0
    command = ["convert", str(tmp_path / "p.jsonl"), "--format", "training", "--output", str(back)]
    assert exit_code([*command, "--overwrite", *domain]) == 0
    assert back.read_text("utf-8") == rows.read_text("utf-8")
