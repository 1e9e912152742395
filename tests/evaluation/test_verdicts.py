"""Verdicts against labels: figures by hand, a promise by simulation, the command as it is run."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest

from shenhe.cli.main import main
from shenhe.errors import RunError
from shenhe.evaluation import (
    choose_threshold,
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


def test_a_threshold() -> None:
    found = choose_threshold(SOME, 0.1, 0.95)
    assert found is not None
    assert 0.7 < found.pass_above < 0.701
    assert (found.false_pass.count, found.false_pass.total) == (0, 30)
    assert (found.left_to_people.count, found.left_to_people.total) == (4 + 3, 100)
    assert choose_threshold(SOME, 0.09, 0.95) is None  # 30 bad groups are too few for that
    loose = choose_threshold(SOME, 0.3, 0.95)
    assert loose is not None
    assert (loose.pass_above, loose.false_pass.count) == (0.0, 3)
    certain = _outcomes(("fail", PASS, 1.0, 1), ("fail", FAIL, 0.1, 99))
    assert choose_threshold(certain, 0.03, 0.95) is None  # no threshold stops it
    assert choose_threshold(certain, 0.06, 0.95) is not None


def test_what_gives_no_odds_is_let_through_by_nobody() -> None:
    blind = _outcomes(("fail", PASS, None, 5), ("fail", FAIL, 0.1, 95), ("pass", PASS, None, 10))
    found = choose_threshold(blind, 0.05, 0.95)
    assert found is not None
    assert found.false_pass.count == 0
    assert found.left_to_people.count == 15


@pytest.mark.parametrize(("highest", "confidence"), [(0.02, 0.9), (0.05, 0.95)])
def test_the_promise_holds(highest: float, confidence: float) -> None:
    """A model that is off: what truly slips through at each threshold is known exactly."""
    drawn = random.Random(11)

    def bad_p() -> float:
        return 1 / (1 + math.exp(-drawn.gauss(-1.5, 2)))

    def slips(threshold: float) -> float:
        """The true share of bad groups that pass: verdict 通过 is p of a half and more."""
        least = max(threshold, 0.5)
        odds = math.inf if least >= 1 else math.log(least / (1 - least))
        return 0.5 * math.erfc((odds + 1.5) / 2 / math.sqrt(2))

    broken = promised = 0
    left = []
    for _ in range(REPETITIONS):
        outcomes = []
        for number in range(GROUPS):
            good = drawn.random() < 0.75
            p = 1 / (1 + math.exp(-drawn.gauss(3, 2))) if good else bad_p()
            verdict = PASS if p >= 0.5 else FAIL
            outcomes.append(Outcome(str(number), "M", "pass" if good else "fail", verdict, p))
        found = choose_threshold(outcomes, highest, confidence)
        if found is None:
            continue
        promised += 1
        broken += slips(found.pass_above) > highest
        left.append(found.left_to_people.value or 0.0)
    assert promised > 0.9 * REPETITIONS
    # Twice the standard error of so many repetitions above what is promised would be a fault.
    risk = 1 - confidence
    assert broken / REPETITIONS <= risk + 2 * math.sqrt(risk * (1 - risk) / REPETITIONS)
    assert sum(left) / len(left) < 0.5


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
    command = [sys.executable, "-m", "shenhe", "evaluate", "verdicts", str(first)]
    command += ["--max-false-pass", "0.05", "--against", str(second), "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2.0% (0.6-7.0)" in done.stdout
    assert "10 are right here alone, 0 there" in done.stdout
    assert "--pass-above 0.600001; 0 of 100 got through here" in done.stdout
    told = json.loads(figures.read_text(encoding="utf-8"))
    assert told["BBU接地线检查"]["false_pass"]["count"] == 2
    assert told["comparison"]["p_value"] == pytest.approx(2 / 2**10)
    assert told["threshold"]["left_to_people"]["count"] == 2
    assert len(read_outcomes(first)) == 200
    for bad, said in (
        (["--max-false-pass", "2"], "must be between 0 and 1"),
        (["--against", str(tmp_path)], "no verdicts there"),
    ):
        failed = subprocess.run([*command[:6], *bad], capture_output=True, text=True, check=False)
        assert failed.returncode == 2
        assert said in failed.stderr


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
