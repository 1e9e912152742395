"""`shenhe watch` as a user runs it, on rows, decisions and audits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shenhe.cli.main import exit_code
from shenhe.rows.audits import audit_file, plan_audit
from shenhe.rows.promises import (
    Fingerprint,
    MissionPromise,
    Promise,
    read_promise,
    write_promise,
)
from shenhe.values import FAIL, PASS, UNSURE
from tests.conftest import MISSION
from tests.promise.audited_runs import Group, decide, draw_week, write_run

OTHER = "BBU接地线检查"


def _watch(*argv: str | Path) -> tuple[int, dict[str, Any]]:
    path = Path(str(argv[0])).parent / "figures.json"
    code = exit_code(["watch", *map(str, argv), "--json", str(path)])
    return code, json.loads(path.read_text(encoding="utf-8"))


def _of(figures: dict[str, Any], mission: str = MISSION) -> dict[str, Any]:
    (found,) = [each for each in figures["missions"] if each["mission"] == mission]
    return dict(found)


def _weeks(folder: Path, rates: list[float], size: int = 200) -> list[Path]:
    """Write a run a week, with every passed group drawn: the shortest way to an answer."""
    return [
        write_run(folder / f"week-{week:02d}", draw_week(week, rate, size), week, share=1.0)
        for week, rate in enumerate(rates)
    ]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _weeks(tmp_path_factory.mktemp("quiet"), [0.01] * 4)


@pytest.fixture(scope="module")
def risen(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _weeks(tmp_path_factory.mktemp("risen"), [0.01, 0.01, 0.5, 0.5])


def _promise(folder: Path, **fields: Any) -> Path:
    mission = MissionPromise(
        threshold=fields.pop("threshold", 2.0), failed=100, slipped=1, fingerprint=Fingerprint()
    )
    values = {"max_false_pass": 0.05, "confidence": 0.95, "timestamp": "2026-01-01T00:00:00Z"}
    path = folder / "promise.json"
    promise = Promise.model_validate(values | fields | {"missions": {MISSION: mission}})
    write_promise(path, promise)
    return path


def test_a_quiet_month(quiet: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, figures = _watch(*quiet)
    assert (code, figures["state"]) == (0, "normal")
    mission = _of(figures)
    audited = mission["audited"]
    assert audited["looked"] == audited["passed"] > 200
    assert audited["low"] <= audited["of_bad"] <= audited["high"] < 0.2
    assert len(mission["weeks"]) == len(mission["bands"][0]) == 4
    printed = capsys.readouterr().out
    assert re.search(r"每 100 个不合格约放过 [\d.<]+ 个", printed)
    assert re.search(r"放行的 1,000 组里约 [\d.<]+ 组不合格", printed)
    assert re.search(r"of 100 bad groups about [\d.<]+ pass", printed)
    assert re.search(r"of 1,000 passed groups about [\d.<]+ are bad", printed)


def test_an_alarm_is_exit_1_and_says_what_to_do(
    risen: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, figures = _watch(*risen)
    assert (code, figures["state"], figures["next_share"]) == (1, "stopped", 1.0)
    assert _of(figures)["alarm_week"] == "2026-W04"
    printed = capsys.readouterr().out
    assert "停用" in printed
    assert "机器放行的组不得再用" in printed
    assert "must not be used" in printed


def test_the_order_of_the_folders_is_no_matter(risen: list[Path]) -> None:
    _, figures = _watch(*risen)
    assert _watch(*reversed(risen))[1]["missions"] == figures["missions"]


def test_another_limit_is_another_answer(risen: list[Path], tmp_path: Path) -> None:
    code, figures = _watch(*risen, "--promise", _promise(tmp_path, max_false_pass=0.6))
    assert (code, figures["limit"]) == (0, 0.6)
    assert _of(figures)["proven"] is True


def test_a_group_that_an_audit_passed_over_is_a_doubt(tmp_path: Path) -> None:
    """One drawn group is left open while people go on: it may be bad, until it is decided."""
    groups = [Group(f"QC-{n:04d}", PASS, PASS) for n in range(400)]
    run = write_run(tmp_path / "run", [each._replace(choice=None) for each in groups], share=0.1)
    plan = plan_audit(run, 0.1)
    key_of = {group.group_id: "\x1f".join((MISSION, "", group.group_id)) for group in groups}
    numbers = {group.group_id: plan.number(key_of[group.group_id]) for group in groups}
    drawn = sorted((g for g in groups if numbers[g.group_id] < 0.1), key=lambda g: numbers[g[0]])
    decide(run, [*drawn[:5], *(each._replace(choice=FAIL) for each in drawn[6:])])
    audited = _of(_watch(run)[1])["audited"]
    assert (audited["passed"], audited["looked"]) == (400, len(drawn))
    assert (audited["false"], audited["doubts"]) == (len(drawn) - 6, 1)
    decide(run, drawn[5:6])
    audited = _of(_watch(run)[1])["audited"]
    assert (audited["looked"], audited["doubts"]) == (len(drawn), 0)


def test_decisions_that_were_not_made_blind_are_no_audit(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [Group(f"QC-{n}", PASS) for n in range(50)], share=1.0)
    decide_openly = [Group(f"QC-{n}", FAIL, FAIL) for n in range(50)]
    decide(run, decide_openly)  # as in the queue, where the verdict is shown
    code, figures = _watch(run)
    assert (code, _of(figures)["audited"]["looked"]) == (0, 0)


def test_a_run_without_an_audit_is_told_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", draw_week(0, 0.3), share=None)
    code, figures = _watch(run)
    assert (code, figures["share"], figures["next_share"]) == (0, None, None)
    assert figures["without_audit"] == [str(run)]
    printed = capsys.readouterr().out
    assert f"shenhe review {run} --audit-share 0.1" in printed
    assert "未抽查" in printed or "无法判断" in printed
    assert "nobody has looked blind" in printed


def test_a_group_in_several_runs_counts_once_and_the_latest_does(tmp_path: Path) -> None:
    groups = [Group(f"QC-{n:03d}", PASS, PASS) for n in range(40)]
    first = write_run(tmp_path / "first", groups, week=0, share=1.0)
    worse = [each._replace(choice=FAIL) for each in groups]
    second = write_run(tmp_path / "second", worse, week=1, share=1.0)
    for order in ((first, second), (second, first)):
        _, figures = _watch(*order)
        assert (figures["groups"], figures["repeated"]) == (40, 40)
        assert _of(figures)["audited"]["false"] == 40
    assert _watch(first, first)[1]["groups"] == 40


def test_a_bad_group_stays_found_when_it_comes_back_mended(tmp_path: Path) -> None:
    before, mended = "name.time.before", "name.time.mended"
    first = write_run(
        tmp_path / "first", [Group("QC-1", PASS, FAIL, inputs=before)], week=0, share=1.0
    )
    second = write_run(
        tmp_path / "second", [Group("QC-1", PASS, PASS, inputs=mended)], week=1, share=1.0
    )
    _, figures = _watch(first, second)
    audited = _of(figures)["audited"]
    assert (figures["groups"], figures["repeated"]) == (1, 0)
    assert (audited["looked"], audited["false"]) == (2, 1)


def test_a_decision_on_photos_that_have_changed_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [Group("QC-1", PASS, PASS, inputs="a.t.before")], share=1.0)
    assert _of(_watch(run)[1])["audited"]["looked"] == 1
    write_run(run, [Group("QC-1", PASS, inputs="a.t.after")], share=1.0)
    assert _of(_watch(run)[1])["audited"]["looked"] == 0


def test_what_another_checkpoint_did_stays_its_own(tmp_path: Path) -> None:
    groups = [Group(f"QC-{n}", PASS, FAIL, promise=None) for n in range(5)]
    before = write_run(tmp_path / "before", groups, week=0, share=1.0)
    changed = [each._replace(checkpoint="d" * 16, choice=PASS) for each in groups]
    after = write_run(tmp_path / "after", changed, week=1, share=1.0)
    mission = _of(_watch(before, after)[1])
    assert mission["used"]["checkpoint"] == "d" * 16
    assert (mission["audited"]["looked"], mission["audited"]["false"]) == (5, 0)
    assert [band[0]["estimate"] for band in mission["bands"]] == [1.0, None]


def test_promised_used_audited(
    quiet: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _promise(tmp_path)
    _, figures = _watch(*quiet, "--promise", path)
    mission = _of(figures)
    assert mission["threshold"] == 2.0
    assert mission["used"]["promise"] == "a" * 16 != mission["promised"]
    printed = capsys.readouterr().out
    assert "按另一份承诺" in printed
    assert "not decided by this promise" in printed


def test_each_mission_has_its_own_state(tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / f"week-{week}",
            draw_week(week, 0.01, 150) + draw_week(week, 0.7, 150, OTHER),
            week,
            share=1.0,
        )
        for week in range(3)
    ]
    code, figures = _watch(*runs)
    assert code == 1
    assert _of(figures, OTHER)["state"] == "stopped"
    assert _of(figures)["state"] == "normal"
    assert [each["mission"] for each in figures["missions"]] == ["", OTHER, MISSION]


def test_a_new_promise_ends_an_alarm(risen: list[Path], tmp_path: Path) -> None:
    after = [
        write_run(tmp_path / f"after-{n}", draw_week(n, 0.01, 200, promise="b" * 16), n, share=1.0)
        for n in (4, 5)
    ]
    code, figures = _watch(*risen, *after)
    mission = _of(figures)
    assert (code, figures["state"]) == (0, "normal")
    assert len(mission["bands"]) == 2
    assert mission["audited"] == _of(_watch(*after)[1])["audited"], "the new promise alone"


def test_looks_may_allow_a_lower_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People decided everything, and of what the threshold holds back nothing is bad."""
    path = _promise(tmp_path)
    promise = read_promise(path).hash
    groups = [Group(f"good-{n}", PASS, PASS, promise=promise) for n in range(60)]
    groups += [Group(f"bad-{n}", FAIL, None, -3.0, label="fail") for n in range(120)]
    held = [Group(f"held-{n}", None, None, 1.0, label="pass", why=(UNSURE,)) for n in range(60)]
    groups = [each._replace(promise=promise) for each in [*groups, *held]]
    run = write_run(tmp_path / "run", groups, share=1.0)
    _, figures = _watch(run, "--promise", path)
    assert (_of(figures)["threshold"], _of(figures)["ladder"]) == (2.0, 0.0)
    printed = capsys.readouterr().out
    assert "从 2.00 放宽到 0.00" in printed
    assert "from 2.00 to 0.00 (`shenhe promise --truth audit`)" in printed
    unsure = [each._replace(label=None) for each in held]
    run = write_run(tmp_path / "open", [*groups[:180], *unsure], share=1.0)
    assert _of(_watch(run, "--promise", path)[1])["ladder"] == 1.25


def test_a_mission_that_the_promise_refuses_must_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _promise(tmp_path, threshold=None)
    run = write_run(tmp_path / "run", [Group("QC-1"), Group("QC-2", mission=OTHER)])
    page = tmp_path / "page.html"
    _watch(run, "--promise", path, "--html", page)
    printed = capsys.readouterr().out
    assert "没有承诺，却放行了 1 组" in printed
    assert "nothing could be promised, and yet 1 groups were passed" in printed
    assert "承诺里没有这个任务" in page.read_text(encoding="utf-8")


def test_a_pooled_promise_is_watched_for_all_missions_together(tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / f"week-{week}",
            draw_week(week, 0.0, 400) + draw_week(week, 0.15, 100, OTHER),
            week,
            share=1.0,
        )
        for week in range(8)
    ]
    code, singly = _watch(*runs)
    assert (code, _of(singly, OTHER)["state"]) == (1, "stopped")
    code, figures = _watch(*runs, "--promise", _promise(tmp_path, pooled=True))
    assert (code, figures["state"]) == (0, "normal")
    together, half = (_of(each, "")["weeks"][0]["level"] for each in (figures, singly))
    assert together == pytest.approx(2 * half)


def test_held_groups_that_nobody_decided_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = [Group(f"QC-{n}", None, None, 1.0, why=(UNSURE,)) for n in range(7)]
    _, figures = _watch(write_run(tmp_path / "run", groups))
    assert _of(figures)["audited"]["left"] == 7
    assert "7 组留给人工的还没有人判定" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("timestamp", "week"),
    [
        ("2026-01-01T00:00:00Z", "2026-W01"),
        ("2027-01-03 23:59:59", "2026-W53"),
        ("20260105T080000Z", "2026-W02"),
        ("2026-01-05", "2026-W02"),
        ("", "0000-W00"),
        ("0001-01-01T00:00:00+14:00", "0001-W01"),
        ("昨天", "0000-W00"),
    ],
)
def test_the_week_of_a_row_is_that_of_its_time(tmp_path: Path, timestamp: str, week: str) -> None:
    groups = [Group("QC-1", PASS, PASS, timestamp=timestamp or " ")]
    _, figures = _watch(write_run(tmp_path / "run", groups, share=1.0))
    assert [each["week"] for each in _of(figures)["weeks"]] == [week]


def test_looks_that_know_of_no_bad_group_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, figures = _watch(write_run(tmp_path / "run", [Group("QC-1", PASS, PASS)], share=1.0))
    assert _of(figures)["audited"]["looked"] == 1
    printed = capsys.readouterr().out
    assert "还不知道有不合格的组" in printed
    assert "no bad group is known yet" in printed


def test_rows_without_a_time_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = [Group("QC-1", PASS, PASS, timestamp="unknown")]
    _, figures = _watch(write_run(tmp_path / "run", groups, share=1.0))
    assert figures["undated"] == 1
    assert "have no time" in capsys.readouterr().out


def test_what_is_no_run_is_one_line(
    tmp_path: Path, quiet: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    damaged = write_run(tmp_path / "damaged", [Group("QC-1")])
    audit_file(damaged).write_text("{", encoding="utf-8")
    torn = write_run(tmp_path / "torn", [Group("QC-1")])
    (torn / "stage_b" / f"{MISSION}.jsonl").write_text('{"group_id": "a"}\n', encoding="utf-8")
    nothing = tmp_path / "nothing"
    for run in (tmp_path / "empty", damaged, torn, nothing):
        assert exit_code(["watch", str(quiet[0]), str(run)]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert str(run) in captured.err
        assert captured.out == ""


def test_a_promise_that_is_none_is_one_line(
    quiet: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "promise.json"
    path.write_text("{}", encoding="utf-8")
    assert exit_code(["watch", str(quiet[0]), "--promise", str(path)]) == 2
    assert f"{path}: is no promise" in capsys.readouterr().err
