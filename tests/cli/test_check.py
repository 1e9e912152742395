"""shenhe check: one row in, one row out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code

TEXTS = {
    "verdict": ["通过\n理由: a", "通过。\n理由: a", "不通过\n理由: b\n"],
    "summary": ["无关图片", "a\nb", " BBU设备/华为×1 "],
}
VALUES = {
    "verdict": [{"verdict": "通过", "reason": "a"}, None, {"verdict": "不通过", "reason": "b"}],
    "summary": ["无关图片", None, "BBU设备/华为×1"],
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("stdin", [True, False])
def test_rows_in_order(
    kind: str,
    stdin: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = "".join(json.dumps({"raw": raw}) + "\n" for raw in TEXTS[kind])
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(rows))
    assert exit_code(["check", kind, "-" if stdin else str(tmp_path / "rows.jsonl")]) == 1
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [result["value"] for result in results] == VALUES[kind]
    assert [result["ok"] for result in results] == [True, False, True]
    assert all(list(result) == ["ok", "value", "repairs", "error"] for result in results)
    assert results[0]["error"] is None
    assert set(results[1]["error"]) == {"code", "message"}


def test_all_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text('{"raw": "无关图片", "id": 5}\n\n', encoding="utf-8")
    assert exit_code(["check", "summary", str(tmp_path / "rows.jsonl")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"text": 1}', '{"raw": 5}'])
def test_rows_of_another_form(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text(line + "\n")
    assert exit_code(["check", "summary", str(tmp_path / "rows.jsonl")]) == 2
    assert "line 1" in capsys.readouterr().err
    assert exit_code(["check", "summary", str(tmp_path / "absent.jsonl")]) == 2
