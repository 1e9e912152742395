"""Samples, exclusion and limits of runs: which groups get rows, and that each gets one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from shenhe.errors import OptionsChangedError
from shenhe.intake import GroupChoice, GroupPattern, PhotoTree, TreeLayout
from shenhe.rows.group_names import GroupNames
from shenhe.rows.keys import key_of
from shenhe.runs import (
    RunCounts,
    RunOptions,
    choose_verdicts,
    find_stage_a,
    plan_summaries,
    plan_verdicts,
    run_summaries,
    run_verdicts,
)
from tests.runs.test_runs import MISSION, MISSIONS, PASSED, PROMPTS, SEEN
from tests.scripted import ScriptedEngine

Make = Callable[..., Path]


class Case:
    """A tree of 12 passed, 4 failed and 2 unlabelled groups, and its run folder."""

    def __init__(self, folder: Path, make: Make) -> None:
        self.tree, self.out = folder / "tree", folder / "out"
        for label, count in (("审核通过", 12), ("审核不通过", 4), ("", 2)):
            for number in range(count):
                make(f"QC-{number}", "1.jpg", label=label)

    def summarize(
        self,
        choice: GroupChoice | None = None,
        limit: int | None = None,
        layout: TreeLayout | None = None,
    ) -> RunCounts:
        return run_summaries(
            ScriptedEngine(lambda request: SEEN),
            PhotoTree(self.tree, layout),
            MISSION,
            PROMPTS.summary,
            self.out / "a",
            engine_options={},
            run=RunOptions(limit=limit),
            choice=choice,
        )

    def judge(self, choice: GroupChoice | None = None, limit: int | None = None) -> RunCounts:
        (source,) = find_stage_a(self.out / "a", MISSIONS)
        return run_verdicts(
            ScriptedEngine(lambda request: PASSED),
            source,
            PROMPTS.verdict,
            self.out / "b",
            engine_options={},
            run=RunOptions(limit=limit),
            choice=choice,
        )

    def rows(self, stage: str) -> list[dict[str, Any]]:
        path = self.out / stage / f"{MISSION.name}.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def case(make_group: Make, tmp_path: Path) -> Case:
    return Case(tmp_path, make_group)


def _labels(rows: Iterable[dict[str, Any]]) -> dict[str | None, int]:
    return dict(Counter(row["label"] for row in rows))


def _keys(rows: Iterable[dict[str, Any]]) -> set[str]:
    return {key_of(row) for row in rows}


def test_a_limit_takes_labels_in_turn_and_the_rest_later(case: Case) -> None:
    case.summarize(limit=6)
    assert _labels(case.rows("a")) == {"pass": 2, "fail": 2, None: 2}
    case.summarize(limit=6)
    assert _labels(case.rows("a")) == {"pass": 6, "fail": 4, None: 2}
    counts = case.summarize()
    assert (counts.done, counts.already) == (6, 12)
    assert len(_keys(case.rows("a"))) == len(case.rows("a")) == 18


def test_a_limit_of_verdicts_takes_labels_in_turn(case: Case) -> None:
    case.summarize()
    case.judge(limit=6)
    assert _labels(case.rows("b")) == {"pass": 2, "fail": 2, None: 2}
    case.judge(limit=5)
    assert _labels(case.rows("b")) == {"pass": 5, "fail": 4, None: 2}
    case.judge()
    assert len(_keys(case.rows("b"))) == len(case.rows("b")) == 18


def test_a_sample_goes_on_where_it_was(case: Case, make_group: Make) -> None:
    choice = GroupChoice(8, 3, seed=7)
    tree = PhotoTree(case.tree)
    plan = plan_summaries(tree, MISSION, case.out / "a", RunOptions(), choice)
    assert (plan.groups, plan.already) == (8, 0)
    case.summarize(choice, limit=3)
    begun = _keys(case.rows("a"))
    # Groups that are added meanwhile take no place of one that has a row.
    for number in range(30):
        make_group(f"QC-new-{number}", "1.jpg", label="审核通过")
    case.summarize(choice)
    rows = case.rows("a")
    assert begun < _keys(rows)
    assert len(_keys(rows)) == len(rows) == 8
    assert _labels(rows)["fail"] == 3
    assert case.summarize(choice).done == 0
    manifest = json.loads((case.out / "a" / f"{MISSION.name}.manifest.json").read_text("utf-8"))
    assert (manifest["options"]["sample"], manifest["options"]["sample_failed"]) == (8, 3)
    assert manifest["total"] == 8


def test_another_sample_is_another_run(case: Case) -> None:
    case.summarize(GroupChoice(8))
    for choice in (GroupChoice(9), GroupChoice(8, 3), None):
        with pytest.raises(OptionsChangedError, match="sample"):
            case.summarize(choice)
    with pytest.raises(OptionsChangedError, match="exclude was None, now '1 groups, "):
        case.summarize(GroupChoice(8, exclude=GroupNames(["QC-1"])))
    layout = TreeLayout(group_pattern=GroupPattern("(?P<group>QC-1)"))
    with pytest.raises(OptionsChangedError, match="group_pattern was None, now"):
        case.summarize(GroupChoice(8), layout=layout)


def test_excluded_groups_get_no_row(case: Case) -> None:
    exclude = GroupNames(["QC-1", "QC-3::审核不通过", "QC-77"])
    counts = case.summarize(GroupChoice(exclude=exclude))
    assert _labels(case.rows("a")) == {"pass": 11, "fail": 2, None: 1}
    assert counts.passed_over["excluded"] == 4
    assert exclude.describe_unmatched() == "QC-77"
    assert counts.complete


def test_verdicts_of_a_sample(case: Case) -> None:
    case.summarize()
    choice = GroupChoice(6, 3, seed=1, exclude=GroupNames(["QC-0"]))
    (source,) = find_stage_a(case.out / "a", MISSIONS)
    chosen = choose_verdicts(source, choice)
    assert (chosen.taken["fail"], chosen.total, chosen.excluded) == (3, 6, 3)
    plan = plan_verdicts(source, case.out / "b", RunOptions(), choice=choice)
    assert plan.groups == 6
    case.judge(choice, limit=2)
    case.judge(choice)
    rows = case.rows("b")
    assert len(_keys(rows)) == len(rows) == 6
    assert _labels(rows)["fail"] == 3
    assert not any(row["group_id"] == "QC-0" for row in rows)
    plan = plan_verdicts(source, case.out / "b", RunOptions(), choice=choice)
    assert (plan.groups, plan.already) == (0, 6)


def test_groups_without_lines_count_among_the_others(case: Case) -> None:
    run_summaries(
        ScriptedEngine(lambda request: ""),
        PhotoTree(case.tree),
        MISSION,
        PROMPTS.summary,
        case.out / "a",
        engine_options={},
        run=RunOptions(),
    )
    case.judge(GroupChoice(exclude=GroupNames(["QC-0::fail", "QC-1::fail"])))
    assert _labels(case.rows("b"))["fail"] == 2
