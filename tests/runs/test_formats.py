"""Runs of checkpoints that were trained on other formats: from answers to what people see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shenhe.cli.main import exit_code
from shenhe.config import load_formats, load_missions, load_prompts
from shenhe.errors import OptionsChangedError
from shenhe.intake import PhotoTree
from shenhe.messages import Request
from shenhe.rows.promise_fingerprints import fingerprint_of_run
from shenhe.rows.promises import differences
from shenhe.rows.readers import read_verdicts
from shenhe.rows.statements import statement_of
from shenhe.runs import RunCounts, RunOptions, find_stage_a, run_summaries, run_verdicts
from tests.runs.judged import BAFFLE, SureEngine

DOMAIN = load_formats("domain")
MISSIONS = load_missions()
SEEN = (
    '{"统计": [{"类别": "BBU设备", "品牌": {"华为": 1}, "可见性": {"完整": 1}, '
    '"挡风板需求": {"无需安装": 1}}]}'
)
PASSED = "Verdict: 通过\nReason: Image1: 无需安装挡风板; 总结: 符合要求"


class DomainEngine(SureEngine):
    def __init__(self, verdict: str = PASSED) -> None:
        super().__init__(lambda request: self.write(request))
        self.scores = dict(zip(DOMAIN.verdict.openings, (-0.1, -2.4), strict=True))
        self.verdict = verdict

    def write(self, request: Request) -> str:
        return self.verdict if request.choices else f"<DOMAIN=BBU>, <TASK=SUMMARY>\n{SEEN}"


def _tree(folder: Path, photo: Path) -> Path:
    for group in ("g1", "g2"):
        target = folder / BAFFLE / "审核通过" / group / "1.jpg"
        target.parent.mkdir(parents=True)
        target.write_bytes(photo.read_bytes())
    return folder


def _summarize(tmp_path: Path, photo: Path, formats: str = "domain") -> RunCounts:
    tree = tmp_path / "tree"
    return run_summaries(
        DomainEngine(),
        PhotoTree(tree if tree.exists() else _tree(tree, photo)),
        MISSIONS.get(BAFFLE),
        load_prompts(formats=load_formats(formats)).summary,
        tmp_path / "out" / "stage_a",
        engine_options={},
        run=RunOptions(max_attempts=1),
        formats=load_formats(formats),
    )


def _judge(tmp_path: Path, formats: str = "domain", verdict: str = PASSED) -> RunCounts:
    (source,) = find_stage_a(tmp_path / "out" / "stage_a", MISSIONS)
    return run_verdicts(
        DomainEngine(verdict),
        source,
        load_prompts(formats=load_formats(formats)).verdict,
        tmp_path / "out" / "stage_b",
        engine_options={},
        run=RunOptions(max_attempts=1),
        formats=load_formats(formats),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_run_in_the_domain_format_and_what_is_made_of_it(
    tmp_path: Path, demo_photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = _summarize(tmp_path, demo_photos[0])
    assert (counts.done, counts.hints) == (2, [])
    out = tmp_path / "out"
    row, _ = _rows(out / "stage_a" / f"{BAFFLE}.jsonl")
    assert row["per_image"] == {"图片_1": SEEN}
    assert row["meta"]["formats"] == {"name": "domain", "hash": DOMAIN.hash, "verdict": None}
    assert row["meta"]["answers"]["图片_1"]["raw"].startswith("<DOMAIN=BBU>")
    counts = _judge(tmp_path)
    assert (counts.done, counts.undecided, counts.hints) == (2, 0, [])
    path = out / "stage_b" / f"{BAFFLE}.jsonl"
    verdict, _ = _rows(path)
    assert (verdict["verdict"], verdict["status"]) == ("通过", "decided")
    assert verdict["p_pass"] == pytest.approx(0.909, abs=1e-3)
    assert {item["state"] for item in verdict["meta"]["evidence"]["items"]} <= {"seen", "settled"}
    # Another format is another run, and another promise.
    with pytest.raises(
        OptionsChangedError, match=r"formats was domain \([0-9a-f]{16}\), now plain"
    ):
        _judge(tmp_path, "plain")
    assert fingerprint_of_run(out, BAFFLE).formats == DOMAIN.hash
    plain = fingerprint_of_run(out, BAFFLE).model_copy(update={"formats": "plain"})
    (line,) = differences(plain, fingerprint_of_run(out, BAFFLE))
    assert line == f"formats: domain ({DOMAIN.hash}) here, plain promised"
    assert exit_code(["report", str(out)]) == 0
    assert exit_code(["evaluate", "verdicts", str(out)]) == 0
    assert exit_code(["decide", str(out), "--output-dir", str(tmp_path / "anew")]) == 0
    assert "2 通过" in capsys.readouterr().out
    # What the text says counts, whatever the row claims.
    claimed = path.read_text("utf-8").replace("Verdict: 通过", "Verdict: 不通过")
    path.write_text(claimed, "utf-8")
    assert [statement_of(row).ruling for row in read_verdicts(path)] == [None, None]


def test_answers_of_another_format_are_named_at_the_end(
    tmp_path: Path, demo_photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = _tree(tmp_path / "tree", demo_photos[0])
    third = tree / BAFFLE / "g3" / "1.jpg"
    third.parent.mkdir()
    third.write_bytes(demo_photos[1].read_bytes())
    counts = _summarize(tmp_path, demo_photos[0], "plain")
    assert counts.failed == 3
    (hint,) = counts.hints
    assert hint.startswith("3 of 3 answers are of the format domain: ")
    command = ["doctor", "--model", "demo", "--no-load", "--run", str(tmp_path / "out")]
    exit_code([*command, "--max-photos", "1"])
    assert "3 of 3 answers are of the format domain: --formats domain" in capsys.readouterr().out


def test_verdicts_read_in_the_wrong_format_are_decided_anew_without_a_model(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    _summarize(tmp_path, demo_photos[0])
    counts = _judge(tmp_path, "plain")
    assert counts.undecided == 2
    out, anew = tmp_path / "out", tmp_path / "anew"
    assert exit_code(["decide", str(out), "--output-dir", str(anew), "--formats", "domain"]) == 0
    rows = _rows(anew / "stage_b" / f"{BAFFLE}.jsonl")
    assert [row["verdict"] for row in rows] == ["通过", "通过"]
    assert [row["p_pass"] for row in rows] == [None, None]
    assert fingerprint_of_run(anew, BAFFLE).formats == DOMAIN.hash


@pytest.mark.parametrize(
    ("raw", "formats", "expected"),
    [
        (PASSED, "domain", "通过"),
        (PASSED.replace("通过", "不通过"), "domain", "不通过"),
        (PASSED, "", None),
        (PASSED.replace("通过", "需复核"), "domain", None),
        ("通过\n理由: 无需安装挡风板", "domain", None),
        ("通过\n理由: 无需安装挡风板", "", "通过"),
    ],
)
def test_rows_of_other_tools_are_read_in_the_formats_that_are_named(
    tmp_path: Path, raw: str, formats: str, expected: str | None
) -> None:
    out = tmp_path / "out"
    for stage, fields in (
        ("stage_a", {"per_image": {"image_1": f"<DOMAIN=BBU>, <TASK=SUMMARY>\n{SEEN}"}}),
        ("stage_b", {"raw": raw}),
    ):
        path = out / stage / f"{BAFFLE}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(
            json.dumps({"group_id": "g1", **fields}, ensure_ascii=False) + "\n", "utf-8"
        )
    options = ["--formats", formats] if formats else []
    exit_code(["decide", str(out), "--output-dir", str(tmp_path / "anew"), *options])
    (anew,) = _rows(tmp_path / "anew" / "stage_b" / f"{BAFFLE}.jsonl")
    assert anew["verdict"] == expected
    again = exit_code(["decide", str(tmp_path / "anew"), "--output-dir", str(tmp_path / "twice")])
    (twice,) = _rows(tmp_path / "twice" / "stage_b" / f"{BAFFLE}.jsonl")
    assert (twice["verdict"], again) == (expected, int(expected is None))


def test_lines_of_other_tools_may_still_be_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "out" / "stage_a" / f"{BAFFLE}.jsonl"
    path.parent.mkdir(parents=True)
    row = {"group_id": "g1", "per_image": {"image_1": f"<DOMAIN=BBU>, <TASK=SUMMARY>\n{SEEN}"}}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    assert _judge(tmp_path).undecided == 0
    (verdict,) = _rows(tmp_path / "out" / "stage_b" / f"{BAFFLE}.jsonl")
    assert verdict["verdict"] == "通过"


def test_a_format_of_ones_own_stands_in_its_rows(tmp_path: Path, demo_photos: list[Path]) -> None:
    toml = tmp_path / "house.toml"
    own = 'schema = 1\n[verdict]\nreason_marks = ["Reason: "]\nverdict_marks = ["结论: "]\n'
    toml.write_text(own, encoding="utf-8")
    path = tmp_path / "out" / "stage_a" / f"{BAFFLE}.jsonl"
    path.parent.mkdir(parents=True)
    line = "BBU设备/华为,显示完整,无需安装×1"
    path.write_text(json.dumps({"group_id": "g1", "per_image": [line]}) + "\n", "utf-8")
    assert _judge(tmp_path, str(toml), "结论: 通过\nReason: 无需安装挡风板").undecided == 0
    verdicts = tmp_path / "out" / "stage_b" / f"{BAFFLE}.jsonl"
    (row,) = _rows(verdicts)
    assert row["meta"]["formats"]["verdict"]["verdict_marks"] == ["结论: "]
    assert [statement_of(row).ruling for row in read_verdicts(verdicts)] == ["通过"]
    verdicts.write_text(verdicts.read_text("utf-8").replace("结论: 通过", "结论: 不通过"), "utf-8")
    assert [statement_of(row).ruling for row in read_verdicts(verdicts)] == [None]
