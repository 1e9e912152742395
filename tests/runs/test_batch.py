"""Requests for a batch service and its answers: the same rows as asking, in any order, in parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shenhe.cli.main import exit_code
from shenhe.rows.readers import read_summaries
from tests.conftest import MISSION

LINE = "BBU设备/华为/显示完整/无需安装×1"
VERDICT = "通过\n理由: 图片_1中BBU设备显示完整，无需安装挡风板"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _answered(request: dict[str, Any], text: str, **changes: Any) -> dict[str, Any]:
    """The row that OpenAI's service and vLLM's run-batch write."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    if request["body"].get("logprobs"):
        top = [{"token": "通过", "logprob": -0.1}, {"token": "不通过", "logprob": -2.4}]
        choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "total_tokens": 99}
    body = {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    row = {"id": "b", "custom_id": request["custom_id"], "response": response, "error": None}
    return row | changes


def _write(path: Path, rows: list[Any]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def tree(make_group: Callable[..., Path]) -> Path:
    for name in ("QC-1", "QC-2", "QC-3"):
        folder = make_group(name, "a.jpg", "b.jpg", label="审核通过")
    return folder.parents[2]


def _ask(tree: Path, output: Path, *more: str) -> int:
    what = ["--stage", "summarize", "--mission", MISSION, "--model", "qwen3-vl"]
    return exit_code(["requests", str(tree), *what, "--output", str(output), *more])


def _answers(output: Path, out: Path, *files: Path) -> int:
    command = ["answers", *map(str, files), "--requests", str(output), "--output-dir", str(out)]
    return exit_code(command)


def test_both_stages_in_parts_and_in_any_order(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, out = tmp_path / "r.jsonl", tmp_path / "a"
    assert _ask(tree, output, "--processor", "demo") == 0
    requests = _rows(output)
    assert len({request["custom_id"] for request in requests}) == len(requests) == 6
    assert {(row["method"], row["url"]) for row in requests} == {("POST", "/v1/chat/completions")}
    body = requests[0]["body"]
    assert body["model"] == "qwen3-vl"
    assert "regex" in body["structured_outputs"]
    assert body["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/png;")
    answered = [_answered(request, LINE) for request in requests]
    halves = _write(tmp_path / "1", answered[:3][::-1]), _write(tmp_path / "2", answered[3:])
    assert _answers(output, out, halves[0]) == 1
    rows_path = out / f"{MISSION}.jsonl"
    assert len(_rows(rows_path)) == 1
    failures = _rows(out / f"{MISSION}.failures.jsonl")
    assert {failure["code"] for failure in failures} == {"not_answered"}
    assert _answers(output, out, *halves) == 0
    assert not _rows(out / f"{MISSION}.failures.jsonl")
    summaries = list(read_summaries(rows_path))
    assert sorted(row.group_id for row in summaries) == ["QC-1", "QC-2", "QC-3"]
    for row in summaries:
        assert row.per_image == {"图片_1": LINE, "图片_2": LINE}
        assert row.meta.answers["图片_1"].original_wh == (64, 48)
        assert len(row.meta.checkpoint) == 16

    verdicts = tmp_path / "v.jsonl"
    judging = ["--stage", "judge", "--model", "m", "--votes", "3", "--output", str(verdicts)]
    assert exit_code(["requests", str(out), *judging]) == 0
    asked = _rows(verdicts)
    assert [row["body"]["temperature"] > 0 for row in asked[:3]] == [False, True, True]
    judged = _write(tmp_path / "3", [_answered(request, VERDICT) for request in asked])
    assert _answers(verdicts, tmp_path / "b", judged) == 0
    for verdict in _rows(tmp_path / "b" / f"{MISSION}.jsonl"):
        assert (verdict["verdict"], verdict["status"]) == ("通过", "decided")
        assert verdict["p_pass"] == pytest.approx(0.909, abs=0.001)
    capsys.readouterr()


def test_what_services_do_otherwise(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors, torn lines, unknown ids, the same twice, two unlike: each named, the rest is done."""
    output, out = tmp_path / "r.jsonl", tmp_path / "a"
    assert _ask(tree, output, "--dialect", "openai") == 0
    first, second, third, fourth, fifth, sixth = _rows(output)
    assert "structured_outputs" not in first["body"]
    refused = {"status_code": 400, "body": {"error": {"message": "too many images"}}}
    torn = _answered(third, LINE)
    torn["response"]["body"]["error"] = {"message": "CUDA out of memory"}
    rows = [
        _answered(first, LINE, response=None, error={"message": "expired"}),
        _answered(first, LINE) | {"id": "again"},
        _answered(first, LINE),
        _answered(second, LINE) | {"custom_id": "nobody"},
        _answered(second, LINE),
        torn,
        _answered(third, LINE, response=refused),
        _answered(fourth, LINE),
        _answered(fourth, "无关图片"),
        _answered(fifth, "两行\n两行"),
        "{torn",
        "[]",
        {"custom_id": 7},
        {"custom_id": sixth["custom_id"], "response": {"status_code": "x", "body": 3}},
    ]
    assert _answers(output, out, _write(tmp_path / "1", rows)) == 1
    printed = capsys.readouterr().err
    assert "1 answers to what was not asked: nobody" in printed
    assert printed.count("line 11: ") == printed.count("line 12: ") == 1
    failures = {row["item"][-10:]: row for row in _rows(out / f"{MISSION}.failures.jsonl")}
    assert {name: row["code"] for name, row in failures.items()} == {
        "QC-2/a.jpg": "refused",
        "QC-2/b.jpg": "answers_differ",
        "QC-3/a.jpg": "multiple_lines",
        "QC-3/b.jpg": "refused",
    }
    assert "too many images" in json.dumps(list(failures.values()))
    assert [row["group_id"] for row in _rows(out / f"{MISSION}.jsonl")] == ["QC-1"]


def test_photos_that_change_and_captions(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tree / MISSION / "审核通过" / "QC-1"
    output, out = tmp_path / "r.jsonl", tmp_path / "a"
    asking = ["requests", str(folder), "--stage", "caption", "--model", "m", "--output"]
    assert exit_code([*asking, str(output), "--limit", "1"]) == 0
    assert exit_code([*asking, str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert exit_code([*asking, str(output), "--overwrite", "--shard-size", "10KB"]) == 1
    assert "c.jpg" in capsys.readouterr().err
    files = sorted(tmp_path.glob("r*.jsonl"))
    requests = [row for file in files for row in _rows(file)]
    assert (len(files), len(requests)) == (2, 2)
    text = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 30, 40], "desc": "标签"}}}'
    answered = _write(tmp_path / "1", [_answered(request, text) for request in requests])
    Image.new("RGB", (80, 60)).save(folder / "b.jpg")
    assert _answers(output, out, answered) == 1
    (row,) = _rows(out / "captions.jsonl")
    assert row["sizes_wh"] == [[64, 48]]
    codes = {row["code"] for row in _rows(out / "captions.failures.jsonl")}
    assert codes == {"not_requested", "photo_changed"}
    shutil.rmtree(folder)
    output.with_suffix(".manifest.json").write_text("{}")
    assert _answers(output, out, answered) == 2
    assert "write them anew" in capsys.readouterr().err
