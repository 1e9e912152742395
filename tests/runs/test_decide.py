"""Finished verdicts decided anew: what changes, what stays, and what can never become a 通过."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from shenhe.cli.main import exit_code
from shenhe.messages import RequestFailed
from shenhe.rows.promise_fingerprints import fingerprint_of_run
from shenhe.rows.promises import MissionPromise, Promise, write_promise
from shenhe.rows.words import words_of
from shenhe.runs import VerdictPolicy
from shenhe.runs.decide import workers
from shenhe.runs.fsck import check_run
from shenhe.values import FAIL, PASS
from tests.runs.judged import BAFFLE, GROUND, MISSIONS, PASSED, WHOLE, Judged

FAILED = "不通过\n理由: 图片_1中挡风板装反了"
SAYS_NO = "通过\n理由: 图片_1的挡风板装反了，按要求此项不通过"
Row = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path) -> Judged:
    """A run with a group of every kind."""
    case = Judged(tmp_path / "run", BAFFLE)
    texts = [PASSED, FAILED, SAYS_NO, "待定", PASSED]
    case.write(*[{"图片_1": WHOLE}] * 4, {"图片_1": "无关图片"}, {"图片_1": WHOLE}, {})
    case.script = lambda request: (
        RequestFailed(request.key, "bad_answer", "no text")
        if "g5" in request.key
        else texts[int(request.key[-1])]
    )
    return case


def _decide(run: Judged, *options: object, name: str = "anew") -> int:
    output = run.out.parent / name
    return exit_code(["decide", str(run.out), "--output-dir", str(output), *map(str, options)])


def _rows(run: Judged, name: str = "anew", kind: str = "") -> list[Row]:
    path = run.out.parent / name / "stage_b" / f"{run.mission}{kind}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _without_time(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "timestamp"} for row in rows]


def _states(rows: list[Row]) -> dict[str, str]:
    return {row["group_id"]: row["verdict"] or row["meta"]["why"][0] for row in rows}


def _strip(run: Judged, *names: str) -> None:
    """Take keys out of the meta of verdicts, as earlier versions wrote them."""
    rows = run.rows()
    for row in rows:
        for name in names:
            del row["meta"][name]
    _write(run.path("stage_b"), rows)
    run.path("stage_b").with_suffix(".manifest.json").unlink(missing_ok=True)


def _write(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


STATES = {
    "g0": PASS,
    "g1": FAIL,
    "g2": "contradiction",
    "g3": "format",
    "g4": "evidence_missing",
    "g5": "bad_answer",
    "g6": "stage_a_incomplete",
}
SURE = {"g0": "unsure", "g4": "unsure", "g2": "unsure"}


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        (VerdictPolicy(), []),
        (VerdictPolicy(pass_above=0.95), ["--pass-above", "0.95"]),
        (VerdictPolicy(pass_above=0.95, fail_below=0.5), ["--pass-above=0.95", "--fail-below=.5"]),
        (VerdictPolicy(evidence=False), ["--no-evidence"]),
    ],
)
def test_with_the_options_of_the_run_its_rows_come_out(
    run: Judged, policy: VerdictPolicy, options: list[str]
) -> None:
    run.judge(policy, ordered=True)
    assert _decide(run, *options) == 1
    written = run.path("stage_b").read_text("utf-8").splitlines()
    assert _without_time(_rows(run)) == _without_time([json.loads(line) for line in written])
    failures = {row["group_id"]: row["code"] for row in _rows(run, kind=".failures")}
    assert failures == {row["group_id"]: row["code"] for row in run.rows(".failures")}
    # Once more, and from what was decided anew.
    first = _without_time(_rows(run))
    assert _decide(run, *options) == 1
    assert _without_time(_rows(run)) == first
    run.out = run.out.parent / "anew"
    assert _decide(run, *options, name="again") == 1
    assert _without_time(_rows(run, "again")) == first


def test_a_threshold_is_tried_and_taken_back(
    run: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    run.judge(VerdictPolicy(pass_above=0.95))
    assert _states(run.rows()) == STATES | SURE
    assert _decide(run) == 1
    assert _states(_rows(run)) == STATES
    told = capsys.readouterr()
    assert told.out.strip() == f"{BAFFLE}: 1 通过, 1 不通过, 5 undecided; 1 undecided -> 通过"
    assert f"{BAFFLE}: 7 groups done, 5 undecided" in told.err
    (row,) = (row for row in _rows(run) if row["group_id"] == "g0")
    assert (row["reason"], row["raw"]) == ("各图均符合要求", PASSED)
    assert (row["meta"]["why"], row["meta"]["log_odds"]) == ([], pytest.approx(2.3))
    assert _decide(run, "--pass-above", "0.95", "--fail-below", "0.9") == 1
    assert _states(_rows(run)) == STATES | SURE | {"g1": "unsure"}
    assert "1 不通过 -> unsure" in capsys.readouterr().out


def test_evidence_is_turned_off_and_on(run: Judged) -> None:
    run.judge(VerdictPolicy(evidence=False))
    assert _states(run.rows()) == STATES | {"g4": PASS}
    _decide(run)
    assert _states(_rows(run)) == STATES
    _decide(run, "--no-evidence")
    assert _states(_rows(run)) == STATES | {"g4": PASS}
    assert {row["meta"]["evidence"]["rules"] for row in _rows(run)} == {"off"}
    path = run.out.parent / "anew" / "stage_b" / f"{BAFFLE}.manifest.json"
    options = json.loads(path.read_text("utf-8"))["options"]
    assert (options["stage"], options["evidence"], options["seed"]) == ("decide", "off", 0)


def test_rows_of_earlier_versions_are_decided_and_nothing_else_passes(run: Judged) -> None:
    run.judge(VerdictPolicy(pass_above=0.95))
    rows = run.rows()
    for row in rows:
        for name in ("ruling", "log_odds", "evidence", "promise"):
            del row["meta"][name]
        row["meta"]["why"] = row["meta"]["why"][:1]
    cut, split = dict(rows[0]), dict(rows[0])
    cut |= {"group_id": "g7", "reason": "format: length: cut at the limit of 128 tokens"}
    cut["meta"] = rows[0]["meta"] | {"why": ["format"]}
    split |= {"group_id": "g8", "reason": "unsure: of 2 votes 1 不通过, 1 通过: no majority"}
    unknown = dict(rows[0]) | {"group_id": "g9", "reason": "photos not read"}
    unknown["meta"] = rows[0]["meta"] | {"why": []}
    named = dict(rows[0]) | {"group_id": "g10", "reason": "unsure"}
    named["meta"] = rows[0]["meta"] | {"why": []}
    added, whole = [cut, split, unknown, named], {"图片_1": WHOLE}
    run.write(*[whole] * 4, {"图片_1": "无关图片"}, whole, {}, *[whole] * 4)
    _write(run.path("stage_b"), rows + added)
    run.path("stage_b").with_suffix(".manifest.json").unlink()
    assert _decide(run) == 1
    decided = {row["group_id"]: row for row in _rows(run)}
    assert _states(list(decided.values())[:7]) == STATES
    assert decided["g10"]["verdict"] == PASS
    assert [decided[f"g{n}"]["verdict"] for n in (7, 8, 9)] == [None] * 3
    assert decided["g9"]["reason"] == "photos not read"
    assert decided["g8"]["meta"]["ruling"] is None


def test_without_lines_no_pass_of_a_mission_with_rules_stands(run: Judged) -> None:
    run.judge()
    for path in run.path("stage_a").parent.iterdir():
        path.unlink()
    run.path("stage_a").parent.rmdir()
    assert _decide(run) == 1
    unchecked = dict.fromkeys(("g0", "g2", "g4"), "stage_a_incomplete")
    assert _states(_rows(run)) == STATES | unchecked
    assert _rows(run)[0]["reason"].startswith("stage_a_incomplete: 阶段A未完成: 没有一行")
    _decide(run, "--no-evidence")
    assert _states(_rows(run)) == STATES | {"g4": PASS}
    # What was undecided for want of lines is decided once nobody asks for them.
    _decide(run)
    run.out = run.out.parent / "anew"
    _decide(run, "--no-evidence", name="again")
    assert _states(_rows(run, "again"))["g0"] == PASS


def test_lines_that_changed_since_or_went_hold_a_verdict_back(run: Judged) -> None:
    run.judge()
    run.write({"图片_1": WHOLE}, {"图片_1": WHOLE.replace("华为", "中兴")})
    path = run.path("stage_a")
    _write(path, [json.loads(line) for line in path.read_text("utf-8").splitlines()][1:])
    assert _decide(run) == 1
    rows = {row["group_id"]: row for row in _rows(run)}
    assert rows["g0"]["meta"]["why"] == rows["g1"]["meta"]["why"] == ["stage_a_incomplete"]
    assert "各行已改变" in rows["g1"]["reason"]


def test_several_rows_of_a_group_that_differ_are_undecided(run: Judged) -> None:
    run.judge(ordered=True)
    rows = run.rows()
    other = rows[1] | {"group_id": "g0"}
    _write(run.path("stage_b"), [*rows, rows[0] | {"timestamp": "later"}, rows[1]])
    _decide(run)
    assert _states(_rows(run)) == STATES
    assert len(_rows(run)) == 7
    _write(run.path("stage_b"), [*rows, other])
    _decide(run)
    assert _states(_rows(run)) == STATES | {"g0": "duplicate_group"}
    assert f"{BAFFLE}.jsonl:1, {BAFFLE}.jsonl:8" in _rows(run)[0]["reason"]
    run.out = run.out.parent / "anew"
    _decide(run, name="again")
    assert _states(_rows(run, "again")) == STATES | {"g0": "duplicate_group"}


def test_a_group_under_two_spellings_of_its_mission_is_one(run: Judged) -> None:
    """Verdicts that differ, and lines that differ: neither key of the group may pass."""
    run.judge(ordered=True)
    rows = run.rows()
    _write(run.path("stage_b"), [*rows, rows[1] | {"group_id": "g0", "mission": f"{BAFFLE} "}])
    assert _decide(run) == 1
    verdicts = [row for row in _rows(run) if row["group_id"] == "g0"]
    assert [row["meta"]["why"] for row in verdicts] == [["duplicate_group"]] * 2
    _write(run.path("stage_b"), rows)
    lines = [json.loads(line) for line in run.path("stage_a").read_text("utf-8").splitlines()]
    other = {"图片_1": WHOLE.replace("华为", "中兴")}
    other_row = lines[0] | {"mission": f"\u3000{BAFFLE}", "per_image": other}
    _write(run.path("stage_a"), [*lines, other_row])
    assert _decide(run) == 1
    assert _states(_rows(run)) == STATES | {"g0": "duplicate_group"}


def test_lines_of_a_group_that_stand_twice(run: Judged) -> None:
    run.judge()
    path = run.path("stage_a")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]), "utf-8")
    _decide(run)
    assert _states(_rows(run)) == STATES
    path.write_text("".join([*lines, lines[0].replace("华为", "中兴")]), "utf-8")
    _decide(run)
    assert _states(_rows(run)) == STATES | {"g0": "duplicate_group"}


FOREIGN: dict[str, tuple[Row, str]] = {
    "raw alone": ({"raw": PASSED}, PASS),
    "raw in another form": ({"raw": "Verdict: 通过"}, "format"),
    "verdict alone": ({"verdict": "通过"}, PASS),
    "verdict and reason": ({"verdict": "通过", "reason": "符合要求"}, PASS),
    "a reason against it": ({"verdict": "通过", "reason": "此项不通过"}, "contradiction"),
    "a raw reason against it": ({"raw": SAYS_NO}, "contradiction"),
    "its raw says no": ({"verdict": "通过", "raw": FAILED}, "format"),
    "held back by its tool": ({"raw": PASSED, "status": "undecided"}, ""),
    "held back in words of its own": ({"verdict": "通过", "status": "需复核"}, ""),
    "its status says how": ({"verdict": "通过", "status": "done"}, PASS),
    "fail": ({"verdict": "不通过", "status": "failed"}, FAIL),
    "not looked at whole": ({"verdict": "通过", "meta": {"why": ["left_out"]}}, "left_out"),
    "files left out": (
        {"verdict": "通过", "meta": {"left_out": [{"path": "a.zip", "kind": "ZIP"}]}},
        "left_out",
    ),
    "a word of its own": ({"verdict": "OK"}, "format"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_rows_of_other_tools(name: str, tmp_path: Path) -> None:
    row, state = FOREIGN[name]
    run = Judged(tmp_path / "run", BAFFLE)
    run.write({"图片_1": WHOLE}, site="S1")
    _write(run.path("stage_b"), [{"group_id": "g0", "team": 7} | row])
    decided_all = state in (PASS, FAIL)
    for source, output in (("run", "anew"), ("anew", "again"), ("again", "third")):
        run.out = tmp_path / source
        assert _decide(run, name=output) == (not decided_all)
        (after,) = _rows(run, output)
        assert (after["verdict"] or (after["meta"]["why"] or [""])[0]) == state
        assert after["extra"].items() >= {"team": 7}.items()
    # No way back from a threshold makes more of it either.
    run.out = tmp_path / "run"
    _decide(run, "--pass-above", "0.9", name="held")
    run.out = tmp_path / "held"
    _decide(run, name="freed")
    (after,) = _rows(run, "freed")
    assert (after["verdict"] or (after["meta"]["why"] or [""])[0]) == state


@pytest.mark.parametrize(
    "line",
    [
        *("null", "{}", "<think>螺丝", "<DOMAIN=BBU>, <TASK=SUMMARY>", '{"统计": [{"类别": "电线"'),
        '<DOMAIN=BBU>, <TASK=SUMMARY>\n{"统计": [{"类别"',
    ],
)
def test_half_a_line_of_another_tool_is_none(line: str, tmp_path: Path) -> None:
    run = Judged(tmp_path / "run", BAFFLE)
    lines = [{"图片_1": WHOLE, "图片_2": text} for text in (line, "无关图片")]
    groups = [{"group_id": f"g{n}", "per_image": texts} for n, texts in enumerate(lines)]
    _write(run.path("stage_a"), groups)
    _write(run.path("stage_b"), [{"group_id": f"g{n}", "verdict": "通过"} for n in range(2)])
    assert _decide(run) == 1
    assert _states(_rows(run)) == {"g0": "stage_a_incomplete", "g1": PASS}


@pytest.mark.parametrize("label", ["pass", "fail", None])
def test_rows_of_two_tools_meet_though_one_names_no_label(
    label: str | None, tmp_path: Path
) -> None:
    run = Judged(tmp_path / "run", "BBU安装方式检查（正装）")
    line = {"图片_1": WHOLE + "，螺丝、光纤插头/BBU安装螺丝,符合要求×2"}
    run.write(line, line, mission="BBU安装方式检查(正装)", label=label)
    _write(run.path("stage_b"), [{"group_id": "g0", "verdict": "通过"}] * 2)
    assert _decide(run) == 1  # g1 has no verdict
    (row,) = _rows(run)
    assert (row["verdict"], row["label"]) == (PASS, label)
    # One id under both labels: nobody knows which group is meant.
    lines = run.path("stage_a").read_text("utf-8")
    with run.path("stage_a").open("a", encoding="utf-8") as file:
        file.write(lines.replace('"pass"', '"fail"').replace("null", '"pass"'))
    _decide(run)
    both = {"pass": "stage_a_incomplete", "fail": PASS, None: PASS}[label]
    assert _states(_rows(run)) == {"g0": both}


def test_a_line_that_is_no_verdict_is_a_failure_and_the_others_go_on(tmp_path: Path) -> None:
    run = Judged(tmp_path / "run", BAFFLE)
    run.write({"图片_1": WHOLE}, {"图片_1": WHOLE})
    good = [{"group_id": f"g{n}", "verdict": "通过"} for n in range(2)]
    _write(run.path("stage_b"), [good[0], {"group_id": "x"}, good[1]])
    lines = run.path("stage_b").read_text("utf-8")
    run.path("stage_b").write_text("{\n" + lines, "utf-8")
    stage_a = run.path("stage_a").read_text("utf-8")
    run.path("stage_a").write_text("{\n" + stage_a, "utf-8")
    assert _decide(run) == 1
    assert _states(_rows(run)) == {"g0": PASS, "g1": PASS}
    failures = [(row["item"], row["code"]) for row in _rows(run, kind=".failures")]
    assert failures == [(f"{BAFFLE}.jsonl:1", "row"), (f"{BAFFLE}.jsonl:3", "row")]


def test_a_mission_that_is_not_configured_has_no_rules_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Judged(tmp_path / "run", "铁塔检查")
    _write(run.path("stage_b"), [{"group_id": "g", "verdict": "通过"}] * 2)
    assert _decide(run) == 0
    assert _rows(run)[0]["meta"]["evidence"] == {"rules": "", "items": []}
    assert capsys.readouterr().err.count("mission 铁塔检查 is not configured") == 1
    mission = '[[mission]]\nname = "铁塔检查"\nfocus = "a"\nrule = "b"\n'
    rules = '[mission.evidence]\nneeds = ["塔脚/螺栓齐全"]\n'
    file = tmp_path / "missions.toml"
    file.write_text(f"schema = 1\n{mission}{rules}", "utf-8")
    assert _decide(run, "--missions", file) == 1
    assert _states(_rows(run)) == {"g": "stage_a_incomplete"}


@pytest.mark.parametrize(
    ("rules", "code"), [("", 0), ('[mission.evidence]\nignore = ["品牌"]\n', 1)]
)
def test_a_mission_without_rules_is_told_and_one_with_them_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str, code: int
) -> None:
    run = Judged(tmp_path / "run", BAFFLE)
    _write(run.path("stage_b"), [{"group_id": "g", "verdict": "通过"}])
    file = tmp_path / "missions.toml"  # it replaces the built-in mission, and its rules
    mission = f'[[mission]]\nname = "{BAFFLE}"\nfocus = "a"\nrule = "b"\n'
    file.write_text(f"schema = 1\n{mission}{rules}", "utf-8")
    assert _decide(run, "--missions", file) == code
    warning = f"mission {BAFFLE} has no evidence rules"
    assert capsys.readouterr().err.count(warning) == 1
    assert _decide(run, "--missions", file, "--no-evidence") == 0
    assert _decide(run) == 1
    assert warning not in capsys.readouterr().err


def _promised(run: Judged, threshold: float | None, **changes: object) -> Path:
    fingerprint = fingerprint_of_run(run.out, BAFFLE).model_copy(update=changes)
    content = MissionPromise(threshold=threshold, failed=60, slipped=0, fingerprint=fingerprint)
    promise = Promise(
        max_false_pass=0.05, confidence=0.95, timestamp="t", missions={BAFFLE: content}
    )
    path = run.out.parent / "promise.json"
    write_promise(path, promise)
    return path


def test_a_promise_of_these_verdicts_decides_and_any_other_is_refused(
    run: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    run.judge(VerdictPolicy(pass_above=0.99))
    assert _decide(run, "--promise", _promised(run, 2.0)) == 1
    assert _states(_rows(run)) == STATES
    assert _rows(run)[0]["meta"]["promise"]
    assert _decide(run, "--promise", _promised(run, 2.5)) == 1
    assert _states(_rows(run)) == STATES | SURE
    before = _rows(run)
    capsys.readouterr()
    for changes, message in (
        ({"checkpoint": "c3d4"}, "checkpoint: scripted here, c3d4 promised"),
        ({"votes": 3}, "votes: 1 here, 3 promised"),
        ({"stage_b": {"seed": 1}}, "stage_b.seed: 0 here, 1 promised"),
        ({"evidence": "off"}, "evidence: "),
        ({"stage_a_prompt": "q"}, "stage_a_prompt: p here, q promised"),
    ):
        assert _decide(run, "--promise", _promised(run, 2.0, **changes)) == 2
        told = capsys.readouterr().err
        assert "promise.json was made for another " in told
        assert message in told
    assert _decide(run, "--promise", _promised(run, 2.0), "--no-evidence") == 2
    assert "evidence: off here, " in capsys.readouterr().err
    assert _decide(run, "--promise", _promised(run, 2.0), "--pass-above", "0.5") == 2
    assert "--pass-above 0.5: --promise has thresholds of its own" in capsys.readouterr().err
    assert _rows(run) == before
    assert _decide(run, "--promise", _promised(run, None)) == 1
    assert _states(_rows(run)) == STATES | SURE
    assert f"nothing is promised of {BAFFLE}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "name", "value", "told"),
    [
        ("stage_b", "checkpoint", "c9", "checkpoint c9, 承诺的是 scripted"),
        ("stage_b", "prompt_hash", "q", "prompt q, 承诺的是 "),
        ("stage_a", "checkpoint", "c9", "stage_a_checkpoint c9, 承诺的是 c"),
        ("stage_a", "prompt_hash", "", "stage_a_prompt 未知, 承诺的是 p"),
    ],
)
def test_rows_of_another_run_that_were_added_to_a_file_are_not_promised(
    tmp_path: Path, stage: str, name: str, value: str, told: str
) -> None:
    run = Judged(tmp_path / "run", BAFFLE)
    run.write({"图片_1": WHOLE}, {"图片_1": WHOLE}, {"图片_1": WHOLE})
    run.script = lambda request: FAILED if "g2" in request.key else PASSED
    run.judge()
    promise = _promised(run, 2.0)
    assert _decide(run, "--promise", promise) == 0
    lines = run.path(stage).read_text("utf-8").splitlines()
    rows = sorted(map(json.loads, lines), key=lambda row: row["group_id"])
    for row in rows[1:]:  # `cat` of two runs: the manifest and the first row are of one of them
        row["meta"][name] = value
    _write(run.path(stage), rows)
    assert _decide(run, "--promise", promise) == 1
    passed, held, failed = sorted(_rows(run), key=lambda row: row["group_id"])
    assert (passed["verdict"], failed["verdict"]) == (PASS, FAIL)
    assert (held["verdict"], held["meta"]["why"]) == (None, ["unsure"])
    assert told in held["reason"]
    assert _decide(run) == 0  # without a promise nothing is bound


def test_only_what_a_decision_wrote_is_replaced(
    run: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    run.judge()
    folder = run.out.parent / "anew"

    def refusal(name: str = "anew") -> str:
        capsys.readouterr()
        assert _decide(run, name=name) == 2
        return capsys.readouterr().err

    assert "lies in the run's own folder" in refusal("run")
    assert "lies in the run's own folder" in refusal("run/anew")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert "holds notes.txt, which no `shenhe decide` wrote" in refusal()
    (folder / "notes.txt").unlink()
    assert _decide(run) == 1
    assert exit_code(["report", str(folder)]) == 0
    (folder / "notes.txt").write_text("mine")
    assert "holds notes.txt" in refusal()
    (folder / "notes.txt").unlink()
    rows = folder / "stage_b" / f"{BAFFLE}.jsonl"
    before = rows.read_bytes()
    rows.write_bytes(before + b"{}\n")
    assert f"holds stage_b/{BAFFLE}.jsonl, which has changed since" in refusal()
    rows.write_bytes(before)
    _write(folder / "stage_b" / "other.jsonl", [{"group_id": "g"}])
    assert "holds other.jsonl, which no `shenhe decide` wrote" in refusal()
    (folder / "stage_b" / "other.jsonl").unlink()
    assert _decide(run) == 1
    # A mission that the run no longer has goes, as does its copy.
    for path in (*run.out.rglob(f"{BAFFLE}*"), *run.out.rglob(f".{BAFFLE}*")):
        path.unlink()
    ground = Judged(run.out, GROUND)
    _write(ground.path("stage_b"), [{"group_id": "g", "verdict": "不通过"}])
    assert _decide(ground) == 0
    names = sorted(path.name for path in folder.rglob("*.jsonl"))
    assert names == [f"{GROUND}.failures.jsonl", f"{GROUND}.jsonl"]


def test_what_was_decided_is_a_run_to_every_other_command(run: Judged) -> None:
    run.judge()
    folder = run.out.parent / "anew"
    _decide(run)
    # The rows of Stage-A were written by hand, and have no manifest here or there.
    assert [fault.what for fault in check_run(folder, MISSIONS, repair=False)] == ["is missing"]
    assert exit_code(["status", str(folder)]) == 1
    assert exit_code(["report", str(folder)]) == 0
    page = (folder / "report" / "index.html").read_text("utf-8")
    assert words_of("evidence_missing").zh in page
    assert exit_code(["evaluate", "verdicts", str(folder)]) in (0, 2)
    # And no run goes on from it.
    assert exit_code(["fsck", str(folder)]) == 0
    assert _decide(run) == 1


LINES = 4_000


def _many(folder: Path, *further: Row) -> Judged:
    """So many verdicts that two processes decide them in `_start`."""
    run = Judged(folder / "run", BAFFLE)
    run.write(*[{"图片_1": WHOLE}] * LINES)
    base = {"mission": BAFFLE, "verdict": "通过", "reason": "符合要求", "p_pass": 0.9}
    rows = [{"group_id": f"g{n}"} | base for n in range(LINES)]
    rows[3] |= {"reason": "此项不通过"}
    rows[-3] |= {"verdict": "不通过"}
    _write(run.path("stage_b"), [*rows, *(base | row for row in further)])
    return run


def _start(run: Judged, *options: str) -> int:
    """Decide in a forked process, which has a second one for half of the lines."""
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        workers.MIN_LINES = LINES  # type: ignore[misc]
        code = _decide(run, *options)
    except BaseException:
        code = 99
    os._exit(code)


def _second(child: int) -> list[psutil.Process]:
    """Wait for the second process of a child; there is none any more once the child has ended."""
    process = psutil.Process(child)
    second: list[psutil.Process] = process.children()
    while not second and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.001)
        second = process.children()
    return second


def _wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    run = _many(tmp_path, {"group_id": ""})
    assert _decide(run, name="one") == 1
    child = _start(run)
    assert _second(child)
    assert _wait(child) == 1
    assert _without_time(_rows(run)) == _without_time(_rows(run, "one"))
    failures = _without_time(_rows(run, kind=".failures"))
    assert failures == _without_time(_rows(run, "one", ".failures"))
    assert [row["code"] for row in failures] == ["contradiction", "row"]
    assert len(_rows(run)) == LINES


def test_a_group_in_both_halves_is_found(tmp_path: Path) -> None:
    run = _many(tmp_path, {"group_id": "g5", "verdict": "不通过"})
    assert _wait(_start(run)) == 1
    assert len(_rows(run)) == LINES
    assert _rows(run)[5]["meta"]["why"] == ["duplicate_group"]


def test_killed_at_any_moment_files_are_whole(tmp_path: Path) -> None:
    run = _many(tmp_path)
    began = time.monotonic()
    assert _wait(_start(run, "--pass-above", "0.5")) == 1
    whole = time.monotonic() - began
    old = _without_time(_rows(run))
    chance, interrupted = random.Random(0), 0
    second: list[psutil.Process] = []
    for kill in range(40):
        began = time.monotonic()
        child = _start(run, "--pass-above", "0.95")
        second += _second(child)
        time.sleep(chance.uniform(0, 1.0) * whole)
        os.kill(child, signal.SIGKILL if kill % 2 else signal.SIGINT)
        if _wait(child) in (130, -signal.SIGKILL):
            interrupted += 1
        else:  # it was quicker than when it was timed
            whole = min(whole, time.monotonic() - began)
        rows = _without_time(_rows(run))
        assert len(rows) == LINES
        assert rows == old or all(row["verdict"] != PASS for row in rows)
        if interrupted == 8:
            break
    assert interrupted == 8
    assert _wait(_start(run, "--pass-above", "0.95")) == 1
    assert {row["verdict"] for row in _rows(run)} == {None, FAIL}
    assert len(_rows(run, kind=".failures")) == LINES - 1
    assert not [name for name in os.listdir(tmp_path / "anew" / "stage_b") if ".new" in name]
    _, alive = psutil.wait_procs(second, timeout=60)
    assert not alive, "second processes outlive those that were killed"
