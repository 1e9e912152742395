"""Rows of other tools, as a user gives them to the commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shenhe.cli.main import exit_code
from tests.warm import SHENHE

MISSION = "挡风板安装检查"
LINES = {
    "image_2": "挡风板/中兴/只显示部分/安装方向错误×1",
    "image_1": "BBU设备/中兴/显示完整/机柜空间充足需要安装/按要求配备挡风板×1",
}


def _write(path: Path, *lines: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _judge(stage_a: Path, out: Path, model: str = "demo") -> int:
    options = ["--model", model, "--dtype", "float32"]
    options += ["--adapters", "demo"] if model == "demo" else []
    return exit_code(["judge", *options, "--stage-a", str(stage_a), "--output-dir", str(out)])


def test_judge_reads_what_it_can_and_lists_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"group_id": 7, "label": "审核不通过", "per_image": LINES, "site": "S1"}
    gap = {"group_id": "8", "per_image": ["BBU设备×1"], "images": ["1.jpg", "2.jpg", "3.jpg"]}
    stage_a = _write(tmp_path / f"{MISSION}.jsonl", whole, "no row", gap)
    for _ in range(2):
        assert _judge(stage_a, tmp_path / "out") == 1
        said = capsys.readouterr().err
        assert "2 groups done" in said
        assert "1 failed, 1 undecided" in said
    rows = _read(tmp_path / "out" / stage_a.name)
    assert {(row["group_id"], row["label"], row["status"]) for row in rows} == {
        ("7", "fail", "decided"),
        ("8", None, "undecided"),
    }
    listed = _read(tmp_path / "out" / f"{MISSION}.failures.jsonl")
    assert sorted((row["item"], row["code"]) for row in listed) == [
        ("8", "stage_a_incomplete"),
        (f"{stage_a.name}:2", "row"),
    ]


def test_lines_in_another_format_are_told_before_they_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrapped = {key: json.dumps({key: line}, ensure_ascii=False) for key, line in LINES.items()}
    rows = [{"group_id": number, "per_image": wrapped} for number in range(3)]
    stage_a = _write(tmp_path / f"{MISSION}.jsonl", *rows)
    command = ["judge", "--model", "demo", "--stage-a", str(stage_a), "--dry-run"]
    command += ["--output-dir", str(tmp_path / "out")]
    assert exit_code(command) == 0
    assert "6 of 6 lines are of the format keyed: --formats keyed" in capsys.readouterr().err
    assert exit_code([*command, "--formats", "keyed"]) == 0
    assert "warning" not in capsys.readouterr().err


BAD_FILES: dict[str, tuple[list[object], str]] = {
    "no row at all": (["no row", []], "rows.jsonl: holds no row that can be judged"),
    "no mission": ([{"group_id": 1, "per_image": LINES}], "has no 'mission', and its file is not"),
    "an unknown mission": (
        [{"group_id": 1, "per_image": LINES, "mission": "挡风板安装"}],
        "unknown mission '挡风板安装': did you mean 挡风板安装检查?",
    ),
    "a JSON array": ([[{"group_id": 1, "per_image": LINES}]], "line 1 is not a JSON object"),
    "nothing": ([], "rows.jsonl"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_judged_is_told_before_a_model_is_looked_for(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, problem = BAD_FILES[name]
    stage_a = _write(tmp_path / "rows.jsonl", *lines)
    assert _judge(stage_a, tmp_path / "out", model=str(tmp_path / "no model")) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def _shenhe(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*SHENHE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verdicts_are_evaluated_reported_and_checked(tmp_path: Path) -> None:
    run = tmp_path / "run"
    group = {"group_id": 1, "label": "FAIL"}
    _write(run / "stage_a" / f"{MISSION}.jsonl", group | {"per_image": LINES})
    _write(
        run / "stage_b" / f"{MISSION}.jsonl",
        group | {"verdict": "不通过", "p_pass": 0.25},
        "{",
        {"group_id": 2, "label": "审核通过", "raw": "通过\n理由: 显示完整", "site": "S1"},
    )
    before = {path: path.read_bytes() for path in run.rglob("*.jsonl")}
    told = f"{MISSION}.jsonl: 1 line could not be read: line 2 is not JSON\n"
    for arguments in (["evaluate", "verdicts"], ["report"]):
        done = _shenhe(*arguments, run)
        assert (done.returncode, done.stderr.endswith(told)) == (0, True), done.stderr
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert LINES["image_2"] in page
    done = _shenhe("fsck", run)
    assert done.returncode == 1
    assert "another tool wrote it: mend it there" in done.stdout
    assert {path: path.read_bytes() for path in run.rglob("*.jsonl")} == before
