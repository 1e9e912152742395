"""A photo that several groups have: told, or reason enough to hold them back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.config import load_missions, load_prompts
from shenhe.errors import OptionsChangedError, RunError
from shenhe.intake import PhotoTree
from shenhe.messages import Request
from shenhe.rows.counts import RunCounts
from shenhe.rows.photo_marks import opened_index
from shenhe.runs import RunOptions, VerdictPolicy, find_stage_a, run_summaries, run_verdicts
from shenhe.shards import list_rows_files
from tests.photos.test_facts import scene
from tests.runs.test_photo_facts import OpeningEngine

MISSIONS, PROMPTS = load_missions(), load_prompts()
INSTALL, BAFFLE = MISSIONS.get("BBU安装方式检查（正装）"), MISSIONS.get("挡风板安装检查")
HELD = VerdictPolicy(reused="undecided", evidence=False)


def _answer(request: Request) -> str:
    return "通过\n理由: 图片_1" if request.choices else "挡风板/可以识别×1"


class Tree:
    """A photo tree, its run, and what became of the groups."""

    def __init__(self, folder: Path) -> None:
        self.root, self.out = folder / "tree", folder / "out"

    def add(
        self, group: str, seeds: list[int], mission: str = BAFFLE.name, quality: int = 92
    ) -> None:
        """Add a group of photos: equal seeds are equal scenes, of one quality equal files."""
        folder = self.root / mission / "审核通过" / group
        folder.mkdir(parents=True)
        for number, seed in enumerate(seeds, 1):
            scene(seed, (320, 256)).save(folder / f"{number}.jpg", quality=quality)

    def summarize(self) -> None:
        tree = PhotoTree(self.root)
        for mission in tree.missions(MISSIONS):
            run_summaries(
                OpeningEngine(_answer),
                tree,
                mission,
                PROMPTS.summary,
                self.out / "stage_a",
                engine_options={},
                run=RunOptions(),
            )

    def judge(self, policy: VerdictPolicy) -> dict[str, RunCounts]:
        paths = list_rows_files(self.out / "stage_a")
        with opened_index(paths, policy.earlier) as index:
            return {
                source.mission.name: run_verdicts(
                    OpeningEngine(_answer),
                    source,
                    PROMPTS.verdict,
                    self.out / "stage_b",
                    engine_options={},
                    run=RunOptions(),
                    policy=policy,
                    reuse=index if policy.holds_reused else None,
                )
                for source in find_stage_a(self.out / "stage_a", MISSIONS)
            }

    def why(self, folder: Path | None = None) -> dict[str, list[str]]:
        """Give the codes of each group, by mission's first letter and id."""
        rows = [
            json.loads(line)
            for path in list_rows_files((folder or self.out) / "stage_b")
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        return {f"{row['mission'][0]} {row['group_id']}": row["meta"]["why"] for row in rows}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """QC-1 and QC-2 share a file, QC-3 has it saved again; QC-4 has one in two missions."""
    made = Tree(tmp_path)
    made.add("QC-1", [1, 2])
    made.add("QC-2", [3, 1])
    made.add("QC-3", [1, 4], quality=60)
    made.add("QC-4", [5])
    made.add("QC-4", [5, 6], INSTALL.name)
    made.add("QC-5", [7, 7])
    made.summarize()
    return made


def test_reused_photos_hold_groups_back_where_that_is_asked_for(tree: Tree) -> None:
    counts = tree.judge(HELD)
    assert counts[BAFFLE.name].undecided == 3
    assert tree.why() == {
        **{f"挡 QC-{number}": ["reused_photo"] for number in (1, 2, 3)},
        **{group: [] for group in ("挡 QC-4", "挡 QC-5", "B QC-4")},
    }
    (failures,) = (tree.out / "stage_b").glob("挡*.failures.jsonl")
    told = [json.loads(line) for line in failures.read_text(encoding="utf-8").splitlines()]
    assert {failure["code"] for failure in told} == {"reused_photo"}
    assert {failure["group_id"]: failure["message"] for failure in told}["QC-1"] == (
        "照片在别的工单用过: 图片_1也在 QC-2, 图片_1几乎同于 QC-3"
    )


def test_told_is_the_default_and_another_choice_is_another_run(tree: Tree) -> None:
    tree.judge(VerdictPolicy(evidence=False))
    assert not any(tree.why().values())
    with pytest.raises(OptionsChangedError, match=r"reused was None, now 'undecided'.*decide"):
        tree.judge(HELD)


def test_groups_that_come_and_go_change_who_is_held_back(tree: Tree) -> None:
    """Whoever came first, the same groups are undecided in the end."""
    tree.judge(HELD)
    tree.add("QC-6", [6])
    shutil.rmtree(tree.root / BAFFLE.name / "审核通过" / "QC-3")
    for path in list_rows_files(tree.out / "stage_a"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if '"group_id":"QC-3"' not in line]
        path.write_text("".join(kept), encoding="utf-8")
    tree.summarize()
    counts = tree.judge(HELD)
    held = {group for group, codes in tree.why().items() if codes}
    assert held == {"挡 QC-1", "挡 QC-2", "挡 QC-6", "B QC-4"}
    assert counts[INSTALL.name].done_anew == {"whose photos are used otherwise than before": 1}
    assert not any(count.done_anew for count in tree.judge(HELD).values())


def test_finished_verdicts_are_decided_anew(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.judge(VerdictPolicy(evidence=False))
    anew = tree.out.parent / "anew"
    options = ["decide", str(tree.out), "--output-dir", str(anew), "--no-evidence"]
    assert exit_code([*options, "--reused", "undecided"]) == 1
    held = {group for group, codes in tree.why(anew).items() if codes == ["reused_photo"]}
    assert held == {"挡 QC-1", "挡 QC-2", "挡 QC-3"}
    assert exit_code(options) == 0
    assert not any(tree.why(anew).values())
    assert exit_code([*options, "--earlier", str(tree.root)]) == 2
    assert "no rows of photos there" in capsys.readouterr().err


def test_photos_of_an_earlier_run_and_of_a_list(tree: Tree, tmp_path: Path) -> None:
    later = Tree(tmp_path / "later")
    later.add("QC-9", [2], quality=55)
    later.add("QC-5", [7])
    later.add("QC-10", [30])
    later.summarize()
    later.judge(VerdictPolicy(reused="undecided", evidence=False, earlier=(tree.out,)))
    assert later.why() == {"挡 QC-5": [], "挡 QC-9": ["reused_photo"], "挡 QC-10": []}
    listed = tmp_path / "list.jsonl"
    assert exit_code(["photos", str(tree.root), "--output", str(listed)]) == 0
    shutil.rmtree(later.out / "stage_b")
    later.judge(VerdictPolicy(reused="undecided", evidence=False, earlier=(listed,)))
    assert later.why()["挡 QC-9"] == ["reused_photo"]


def test_an_earlier_run_without_rows_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no rows of photos there"), opened_index([], [tmp_path]):
        pass
