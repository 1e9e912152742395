"""Rows of other tools that tell that an answer was cut, or failed: it counts as none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.row_types import SummaryRow
from shenhe.rows.readers import read_keyed, read_summaries, read_verdicts
from shenhe.rows.unfinished import describe_unfinished
from shenhe.rows.verdict_inputs import describe_gap, hash_inputs
from shenhe.values import FAIL, PASS

MISSION = "挡风板安装检查"
LINE = (
    "BBU设备/华为,显示完整,机柜空间充足需要安装/这个BBU设备按要求配备了挡风板×1，"
    "挡风板/华为,显示完整,安装方向正确×1"
)
TEXT = f"{PASS}\n理由: 挡风板安装方向正确"
CUT: list[dict[str, object]] = [
    {"finish_reason": "length"},
    {"finishReason": "MAX_TOKENS"},
    {"finish_reason": {"type": "length", "length": 128}},  # SGLang
    {"finish_reason": {"type": "abort", "message": "Aborted"}},
    {"finish_reasons": {"图片_1": "stop", "图片_2": "length"}},
    {"finish_reasons": ["stop", "content_filter"]},
    {"finish_reason": "FinishReason.MAX_TOKENS"},
    {"finish_reason": "<FinishReason.SAFETY: 3>"},
    {"finish_reason": "tool_calls"},
    {"finish_reason": "whatever"},
    {"done_reason": "load"},
    {"stop_reason": "max_tokens"},
    {"stop_reason": "refusal"},
    {"choices": [{"index": 0, "finish_reason": "length"}]},
    {"response": {"status_code": 500, "body": {}}},
    {"response": {"body": {"choices": [{"finish_reason": "length"}]}}},
    {"response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}},
    {"status_code": "429"},
    {"error": "CUDA out of memory"},
    {"error": {"code": 500, "message": None}},
    {"errors": {"图片_2": "timeout"}},
    {"meta": {"error": "timed out"}},
    {"extra": {"finish_reason": "length"}},
    {"Exception": "TimeoutError()"},
    {"refusal": "I cannot help with that"},
    {"truncated": True},
    {"is_truncated": "是"},
    {"timeout": True},
    {"报错": "显存不足"},
]
CUT_OR_FAILED: list[dict[str, object]] = [
    {"ok": False},
    {"success": "false"},
    {"failed_images": ["b.jpg"]},
    {"completed": False},
]
"""What may as well say that the group failed: it counts against a 通过, and against lines."""
WHOLE: list[dict[str, object]] = [
    {},
    {"finish_reason": "stop", "stop_reason": None},
    {"finish_reason": "stop", "stop_reason": 151645},  # vLLM: the token at which it stopped
    {"finish_reason": {"type": "stop", "matched": 151645}},
    {"finish_reason": "FinishReason.STOP"},  # an enumeration, as Python shows it
    {"finish_reason": "<StopReason.END_TURN: 1>"},
    {"finish_reason": None},
    {"finish_reason": "<|im_end|>"},
    {"finishReason": "STOP"},
    {"finish_reason": "eos_token"},
    {"stop_reason": "end_turn", "finish_reasons": ["stop", "stop"]},
    {"stop_reason": "\n\n"},
    {"done_reason": "stop", "done": True},
    {"choices": [{"index": 0, "finish_reason": "stop", "logprobs": None}]},
    {"response": {"status_code": 200, "body": {"error": None}}, "error": None},
    {"response": "通过", "labels": None, "logprobs": None, "messages": [{"error": "x"}]},
    {"error": "", "errors": [], "err": "none", "exception": None, "error_code": 0},
    {"error": "无", "报错": "否", "failed_images": [], "failures": 0, "refusal": None},
    {"truncated": False, "timeout": 60, "success": True, "ok": "true"},
    {"meta": {"timeout": 30, "host": "a"}, "site": {"name": "完成"}},
    {"错误": "挡风板方向", "site_error_rate": 0.2, "length": 12},
]


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _verdict(number: int, further: dict[str, object]) -> dict[str, object]:
    return {"group_id": f"g{number}", "raw": TEXT, **further}


def _lines(number: int, further: dict[str, object]) -> dict[str, object]:
    return {"group_id": f"g{number}", "per_image": {"图片_1": LINE, "图片_2": LINE}, **further}


def test_a_verdict_that_was_cut_or_failed_is_none(tmp_path: Path) -> None:
    rows = [_verdict(number, further) for number, further in enumerate(CUT + CUT_OR_FAILED)]
    without_text = [{**row, "verdict": PASS} for row in rows]
    for path in (_write(tmp_path / "a.jsonl", rows), _write(tmp_path / "b.jsonl", without_text)):
        for row, source in zip(read_verdicts(path), rows, strict=True):
            assert (row.verdict, row.meta.why, row.meta.ruling) == (None, ["format"], None), source
            assert "the answer is not whole" in row.reason


def test_a_failed_group_needs_no_more_than_a_whole_answer(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"group_id": f"g{number}", "verdict": FAIL, **further}
        for number, further in enumerate(CUT_OR_FAILED + CUT)
    ]
    verdicts = [row.verdict for row in read_verdicts(_write(tmp_path / "a.jsonl", rows))]
    assert verdicts == [FAIL] * len(CUT_OR_FAILED) + [None] * len(CUT)


def test_whole_answers_stand(tmp_path: Path) -> None:
    rows = [_verdict(number, further) for number, further in enumerate(WHOLE)]
    for row, source in zip(read_verdicts(_write(tmp_path / "a.jsonl", rows)), rows, strict=True):
        assert row.verdict == PASS, source
    lines = [_lines(number, further) for number, further in enumerate(WHOLE)]
    for summary in read_summaries(_write(tmp_path / "b.jsonl", lines)):
        assert not describe_gap(summary), summary.extra


def test_lines_of_which_one_was_cut_are_incomplete(tmp_path: Path) -> None:
    rows = [_lines(number, further) for number, further in enumerate(CUT + CUT_OR_FAILED)]
    rows += [_lines(99, {"status": "failed"}), _lines(100, {"state": "超时"})]
    path = _write(tmp_path / f"{MISSION}.jsonl", rows)
    whole = hash_inputs(_lines(0, {}))
    for row, keyed in zip(read_summaries(path), read_keyed(path, SummaryRow), strict=True):
        assert describe_gap(row), row.extra
        # Mended later, the group is judged anew; and until then it is not judged again and again.
        assert hash_inputs(keyed.json) == hash_inputs(row.model_dump(mode="json")) != whole


@pytest.mark.parametrize("formats", [(), ("--formats", "plain")])
def test_decide_passes_none_of_them(tmp_path: Path, formats: tuple[str, ...]) -> None:
    count = len(CUT)
    stage_a = [_lines(number, {}) for number in range(count)]
    stage_a += [_lines(count + number, further) for number, further in enumerate(CUT)]
    stage_b = [_verdict(number, further) for number, further in enumerate(CUT)]
    stage_b += [_verdict(number, {}) for number in range(count, 2 * count)]
    stage_a.append(_lines(999, {}))
    stage_b.append(_verdict(999, {"finish_reason": "stop"}))
    _write(tmp_path / "run/stage_a" / f"{MISSION}.jsonl", stage_a)
    _write(tmp_path / "run/stage_b" / f"{MISSION}.jsonl", stage_b)
    arguments = ["decide", str(tmp_path / "run"), "--output-dir", str(tmp_path / "out"), *formats]
    assert exit_code(arguments) == 1
    decided = list(read_verdicts(tmp_path / "out/stage_b" / f"{MISSION}.jsonl"))
    assert [row.group_id for row in decided if row.verdict] == ["g999"]
    codes = [row.meta.why for row in decided[:-1]]
    assert codes == [["format"]] * count + [["stage_a_incomplete"]] * count


@pytest.mark.parametrize("verdict", ["需复核", FAIL, "pass?", 1])
def test_a_format_does_not_turn_a_verdict_round(tmp_path: Path, verdict: object) -> None:
    texts = [TEXT, f"Verdict: {PASS}\nReason: 挡风板安装方向正确"]
    rows = [_verdict(number, {"verdict": verdict, "raw": raw}) for number, raw in enumerate(texts)]
    _write(tmp_path / "run/stage_a" / f"{MISSION}.jsonl", [_lines(n, {}) for n in range(2)])
    _write(tmp_path / "run/stage_b" / f"{MISSION}.jsonl", rows)
    source = tmp_path / "run"
    for name, formats in (("a", "domain"), ("b", "plain"), ("c", "domain"), ("d", "plain")):
        output = tmp_path / name  # each reads what the one before has written
        arguments = ["decide", str(source), "--output-dir", str(output), "--formats", formats]
        assert exit_code(arguments) in (0, 1)
        decided = read_verdicts(output / "stage_b" / f"{MISSION}.jsonl")
        assert not any(row.verdict == PASS for row in decided)
        source = output


def test_what_lies_deep_is_not_followed_for_ever() -> None:
    deep: object = "x"
    for _ in range(500):
        deep = {"a": [deep]}
    assert describe_unfinished({"a": deep}) == ""
