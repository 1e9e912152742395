"""`shenhe promise` and `shenhe evaluate verdicts --max-false-pass`, as they are used."""

import json
import math
import random
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.rows.promises import read_promise
from shenhe.values import FAIL, PASS
from tests.promise.runs import (
    MISSION,
    OTHER,
    decide,
    failed_rows,
    good_rows,
    verdict_row,
    write_lines,
    write_run,
)


def _promise(run_dir: Path, *options: str, share: str = "0.05") -> int:
    output = str(run_dir.with_suffix(".json"))
    words = ["promise", str(run_dir), "--max-false-pass", share, "--output", output]
    return exit_code([*words, *options])


def test_what_is_promised_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*failed_rows(100, [3.5, 2.25]), *good_rows(100)]
    run_dir = write_run(tmp_path / "run", rows)
    assert _promise(run_dir, "--candidates", "1") == 0
    promise = read_promise(tmp_path / "run.json")
    (mission,) = promise.missions.values()
    assert mission.threshold == math.nextafter(2.25, 9)
    assert (mission.failed, mission.slipped, promise.truth) == (100, 1, "labels")
    assert (mission.fingerprint.checkpoint, mission.fingerprint.prompt) == ("c1", "p1")
    assert mission.fingerprint.evidence == "e1"
    printed = capsys.readouterr().out
    assert "人工判不合格的组里，放行的不超过 5%" in printed
    (row, more) = [line for line in printed.splitlines() if line.startswith(f"│ {MISSION}")]
    cells = [cell.strip() for cell in row.split("│")[2:-1]]
    assert cells == ["2.2500", "0.9047", "100", "1", "1", "12.0%", "200"]
    assert more.count("%") == 5
    assert exit_code(["evaluate", "verdicts", str(run_dir), "--max-false-pass", "0.05"]) == 0
    assert row in capsys.readouterr().out


def test_some_missions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*failed_rows(60, []), *good_rows(9), *failed_rows(12, [], mission=OTHER)]
    run_dir = write_run(tmp_path / "run", rows)
    assert _promise(run_dir) == 1
    printed = capsys.readouterr().out
    assert f"{OTHER}: no promise, so no 通过 stands: 12 failed" in printed
    assert f"{OTHER}：没有承诺，所以“通过”都不成立：人工判不合格的有 12 组，要 59 组" in printed
    thresholds = {
        name: mission.threshold
        for name, mission in read_promise(tmp_path / "run.json").missions.items()
    }
    assert thresholds == {MISSION: 0.0, OTHER: None}


def test_nothing_can_be_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = write_run(tmp_path / "run", [*failed_rows(50, []), *good_rows(9)])
    assert _promise(run_dir) == 2
    assert "59 are needed: label 9 more" in capsys.readouterr().out
    assert not (tmp_path / "run.json").exists()
    # What `evaluate` measures beside it is worth its exit code.
    figures = tmp_path / "figures.json"
    words = ["evaluate", "verdicts", str(run_dir), "--max-false-pass", "0.05"]
    assert exit_code([*words, "--json", str(figures)]) == 0
    told = json.loads(figures.read_text(encoding="utf-8"))["promise"][MISSION]
    assert (told["threshold"], told["failed"]) == (None, 50)
    for bad in (["--confidence", "1"], ["--missed-by-people", "1"], ["--max-false-pass", "0"]):
        assert _promise(run_dir, *bad) == 2
        assert bad[0] in capsys.readouterr().err


def test_what_lines_cannot_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 90 failed groups 60 lack a needed item: a judge of lines can stop no more than those."""
    missing = {"item": "地排处接地螺丝", "kind": "need", "state": "missing"}
    rows = failed_rows(60, [], items=[missing])
    run_dir = write_run(tmp_path / "run", [*rows, *failed_rows(30, [], first=100), *good_rows(9)])
    assert _promise(run_dir) == 0
    assert "人工判不合格的 90 组中，30 组" in capsys.readouterr().out
    assert _promise(run_dir, share="0.4") == 0
    assert "人工判不合格的 90 组中，30 组" not in capsys.readouterr().out


def test_people_who_overlook_bad_groups(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [*failed_rows(84, []), *good_rows(9)])
    assert _promise(run_dir) == 0
    assert _promise(run_dir, "--missed-by-people", "0.3") == 2


def test_decisions_in_the_order_of_need(tmp_path: Path) -> None:
    """The least sure third of the groups is decided: nothing is known of the surest ones."""
    drawn = random.Random(2)
    rows = [
        verdict_row(n, None, odds := drawn.gauss(-1, 3), PASS if odds >= 0 else FAIL)
        for n in range(240)
    ]
    run_dir = write_run(tmp_path / "run", rows)
    for row in sorted(rows, key=lambda row: abs(row["meta"]["log_odds"]))[:80]:  # type: ignore[index]
        decide(run_dir, row, FAIL)
    assert _promise(run_dir, "--truth", "decisions") == 2
    words = ["evaluate", "verdicts", str(run_dir), "--truth", "decisions"]
    assert exit_code([*words, "--max-false-pass", "0.05"]) == 0


def test_rows_of_other_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their own keys name sites; a verdict that is nothing but a probability may pass."""
    rows = [
        {"group_id": n, "label": "fail", "verdict": FAIL, "p_pass": 0.1, "site": n // 2}
        for n in range(140)
    ]
    rows += [{"group_id": n, "label": "pass", "verdict": PASS, "p_pass": 0.9} for n in range(50)]
    rows += [{"group_id": 900, "label": "fail", "verdict": None, "p_pass": 0.8, "site": 0}]
    run_dir = tmp_path / "run"
    write_lines(run_dir / f"{MISSION}.jsonl", rows)
    assert _promise(run_dir, "--cluster", "site") == 0
    (mission,) = read_promise(tmp_path / "run.json").missions.values()
    assert mission.failed == 70
    capsys.readouterr()
    assert _promise(run_dir, "--cluster", "place") == 2
    assert "fields beside shenhe's own: site" in capsys.readouterr().err
