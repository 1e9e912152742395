"""Verdicts against labels: figures by hand, a promise by simulation, the command as it is run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from shenhe.cli.main import main
from shenhe.errors import RunError
from shenhe.evaluation import (
    compare,
    read_outcomes,
    score_verdicts,
    write_verdict_page,
)
from shenhe.evaluation.thresholds import trade_off
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.outcomes import Outcome
from shenhe.values import FAIL, PASS, Label
from tests.review.runs import Group, write_run
from tests.warm import SHENHE

REPETITIONS, GROUPS = 200, 2000


def _outcomes(*counted: tuple[Label | None, str | None, float | None, int]) -> list[Outcome]:
    return [
        Outcome(f"{number}-{at}", "M", label, verdict, p)
        for number, (label, verdict, p, count) in enumerate(counted)
        for at in range(count)
    ]


SOME = _outcomes(
    ("pass", PASS, 0.9, 60),
    ("pass", FAIL, 0.2, 6),
    ("pass", None, None, 4),
    ("fail", FAIL, 0.1, 27),
    ("fail", PASS, 0.7, 3),
    (None, PASS, 0.9, 5),
)


def test_figures_by_hand() -> None:
    scores = score_verdicts(SOME)
    assert scores.keys() == {"M", ""}
    one = scores["M"]
    assert one.groups == 105
    assert (one.coverage.count, one.coverage.total) == (96, 100)
    assert (one.accuracy.count, one.accuracy.total) == (87, 96)
    assert (one.false_pass.count, one.false_pass.total) == (3, 30)
    assert (one.false_fail.count, one.false_fail.total) == (6, 70)
    assert (one.bad_passes.count, one.bad_passes.total) == (3, 63)
    agreed, chance = 87 / 96, (66 * 63 + 30 * 33) / 96**2
    assert one.kappa == pytest.approx((agreed - chance) / (1 - chance))
    squares = 60 * 0.1**2 + 6 * 0.8**2 + 27 * 0.1**2 + 3 * 0.7**2
    assert one.brier == pytest.approx(squares / 96)
    assert [(b.low, b.groups) for b in one.reliability] == [
        (0.1, 27),
        (0.2, 6),
        (0.7, 3),
        (0.9, 60),
    ]
    assert [b.passed for b in one.reliability] == [0, 1, 0, 1]


def test_is_the_new_one_better() -> None:
    first = _outcomes(("pass", PASS, 0.9, 20), ("fail", FAIL, 0.1, 20))
    second = [
        o._replace(verdict=FAIL if o.verdict == PASS else PASS) if n < 9 else o
        for n, o in enumerate(first)
    ]
    result = compare(first, second)
    assert (result.groups, result.only_first_right, result.only_second_right) == (40, 9, 0)
    assert result.p_value == pytest.approx(2 / 2**9)


def _row(number: int, label: str, verdict: str, p_pass: float) -> str:
    row: dict[str, object] = {
        "group_id": f"QC-{number}",
        "mission": "BBU接地线检查",
        "label": label,
    }
    row |= {"verdict": verdict, "reason": "符合要求", "p_pass": p_pass, "status": "decided"}
    meta = {"schema": 1, "prompt_hash": "", "checkpoint": "", "inputs_hash": None, "answers": {}}
    return json.dumps(row | {"raw": "", "timestamp": "2026-01-01T00:00:00.000000Z", "meta": meta})


def _run(folder: Path, wrong: int) -> Path:
    rows = folder / "stage_b" / "BBU接地线检查.jsonl"
    rows.parent.mkdir(parents=True)
    good = [_row(n, "pass", PASS, 0.95) for n in range(100)]
    bad = [
        _row(100 + n, "fail", PASS if n < wrong else FAIL, 0.6 if n < wrong else 0.1)
        for n in range(100)
    ]
    rows.write_text("\n".join([*good, *bad]) + "\n", encoding="utf-8")
    return folder


def test_the_command(tmp_path: Path) -> None:
    first, second = _run(tmp_path / "a", 2), _run(tmp_path / "b", 12)
    figures = tmp_path / "figures.json"
    evaluate = [*SHENHE, "evaluate", "verdicts", str(first)]
    options = ["--max-false-pass", "0.05", "--against", str(second), "--json", str(figures)]
    done = subprocess.run([*evaluate, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2.0% (0.6-7.0)" in done.stdout
    assert "误放行，占不合格组" in done.stdout
    # Two of 100 bad groups pass, and make up 2 of 102 passed groups: another rate.
    assert "每 100 个不合格约放过 2 个（2/100，95% 区间 0.6–7.0）" in done.stdout
    assert "放行的 1,000 组里约 20 组不合格" in done.stdout
    assert "of 100 groups that people failed, about 2 are passed" in done.stdout
    assert "10 are right here alone, 0 there" in done.stdout
    assert "至多可放行" in done.stdout
    assert f"`shenhe promise {first} --max-false-pass 0.05 --output promise.json`" in done.stdout
    told = json.loads(figures.read_text(encoding="utf-8"))
    assert told["BBU接地线检查"]["false_pass"]["count"] == 2
    assert told["comparison"]["p_value"] == pytest.approx(2 / 2**10)
    assert told["promise"]["BBU接地线检查"]["left_to_people"]["count"] == 2
    assert len(read_outcomes(first)) == 200
    for bad, said in (
        (["--max-false-pass", "2"], "must be between 0 and 1"),
        (["--against", str(tmp_path)], "no verdicts there"),
    ):
        failed = subprocess.run([*evaluate, *bad], capture_output=True, text=True, check=False)
        assert failed.returncode == 2
        assert said in failed.stderr


@pytest.mark.parametrize("change", ["a copy beside it", "the same rows again", "unlike rows"])
def test_a_group_counts_once_however_many_rows_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    groups = [Group("g1", PASS, "fail"), Group("g2", FAIL, "fail"), Group("g3", None, "pass")]
    run = write_run(tmp_path, groups, [tmp_path / "1.jpg"])
    before = read_outcomes(run)
    (path,) = (run / "stage_b").iterdir()
    lines = path.read_text("utf-8")
    if change == "a copy beside it":
        path.with_name("copy.jsonl").write_text(lines, "utf-8")
    elif change == "the same rows again":
        path.write_text(lines + lines, "utf-8")
    else:  # whichever is the last one, no false pass is hidden
        unlike = [Group("g1", FAIL, "fail"), Group("g2", None, "fail"), groups[2]]
        write_run(tmp_path / "unlike", unlike, [tmp_path / "1.jpg"])
        further = (tmp_path / "unlike" / "stage_b" / path.name).read_text("utf-8")
        path.write_text(lines + further, "utf-8")
    lost: dict[str, int] = {}
    after = read_outcomes(run, lost=lost)
    assert [each.key for each in after] == [each.key for each in before]
    assert [each.verdict for each in after] == [
        PASS,
        None if change == "unlike rows" else FAIL,
        None,
    ]
    assert list(lost.values()) == [3]
    with pytest.raises(SystemExit, match="0"):
        main(["--lang", "en", "evaluate", "verdicts", str(run)])
    assert "3 further rows of a group" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main(["--lang", "zh", "evaluate", "verdicts", str(run)])
    assert "结果记录中：3 同一组的其余记录：每组只计一次" in capsys.readouterr().err


def test_the_trade_off() -> None:
    points = trade_off(SOME)
    assert [point.pass_above for point in points] == [0.7, 0.9]
    assert [point.false_pass.count for point in points] == [3, 0]
    # Undecided ones are left to people; so are passes that are not sure enough.
    assert [point.left_to_people.count for point in points] == [4, 7]
    assert points[0].left_to_people.total == 100
    assert trade_off(_outcomes(("fail", FAIL, 0.1, 3))) == []


def test_people_who_decided_in_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = _run(tmp_path / "a", 2)
    with pytest.raises(RunError, match="nobody has decided"):
        read_outcomes(run_dir, "decisions")
    decisions_file(run_dir).mkdir(parents=True)
    with pytest.raises(RunError, match=r"decisions\.sqlite: cannot be opened"):
        read_outcomes(run_dir, "decisions")
    decisions_file(run_dir).rmdir()
    decisions = Decisions(run_dir)
    for outcome, choice in zip(read_outcomes(run_dir)[98:104], (*"123456",), strict=True):
        said = {"1": "通过", "2": "待定"}.get(choice, "不通过")
        decisions.add(
            Decision(
                key=outcome.key,
                group_id=outcome.key,
                mission=outcome.mission,
                label=None,
                verdict=PASS,
                version=1,
                opinion=Opinion.model_validate({"choice": said}),
                reviewer="李工",
                at="2026-11-20T09:00:00.000000Z",
            )
        )
    scores = score_verdicts(read_outcomes(run_dir, "decisions"))[""]
    # One agreed on, one deferred, of four that people failed two had been passed.
    assert scores.confusion == {("pass", PASS): 1, ("fail", PASS): 2, ("fail", FAIL): 2}
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "verdicts", str(run_dir), "--html", str(page)])
    assert left.value.code == 0
    assert "Against people's decisions in review" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "2 of 100 passed by people" not in text
    assert "p_pass 0.950: 100 of 100 passed by people" in text
    assert "每 100 个不合格约放过 2 个（2/100" in text
    with pytest.raises(SystemExit):
        main(["evaluate", "verdicts", str(run_dir), "--truth", "decisions"])
    assert "people's decisions" in capsys.readouterr().out


def test_a_page_of_hostile_names(tmp_path: Path) -> None:
    outcome = Outcome("k", "<script>alert(1)</script>", "fail", PASS, 0.5)
    scores = score_verdicts([outcome])
    page = tmp_path / "new" / "page.html"
    write_verdict_page(page, "<img src=x>", "labels", [outcome], scores)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    with pytest.raises(RunError, match="cannot be written"):
        write_verdict_page(page / "below", "run", "labels", [outcome], scores)
