"""Several missions in one run: outputs as alone, photos that they share computed once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shenhe.config import Mission, load_missions, load_prompts
from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import EngineError, IntakeError
from shenhe.intake import PhotoTree
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.rows.keys import rows_file
from shenhe.rows.manifest import read_manifest
from shenhe.runs import RunCounts, RunOptions, run_summaries
from shenhe.runs.observers import RunInfo
from shenhe.runs.run import OutputSpec
from shenhe.runs.stage_a import GroupBacklog, SummaryWork
from shenhe.runs.together import missions_with_common_groups, run_summaries_together

FIRST, SECOND, THIRD, *_ = MISSIONS = list(load_missions())
TEMPLATE = load_prompts().summary


class Lines:
    """An engine that writes the same line of every photo, and notes what it was asked."""

    fingerprint = "lines"

    def __init__(self, fails_after: int | None = None) -> None:
        self.asked: list[str] = []
        self._fails_after = fails_after

    def answer(self, requests: Iterator[Request]) -> Iterator[Answer | RequestFailed]:
        for request in requests:
            self.asked.append(request.key)
            if self._fails_after is not None and len(self.asked) > self._fails_after:
                raise EngineError("the model failed")
            yield Answer(request.key, "无关图片", "stop", 9, 3)

    def stream(self, request: Request) -> Iterator[str]:
        raise NotImplementedError


@pytest.fixture
def shared_tree(tmp_path: Path, demo_photos: list[Path]) -> Path:
    """Three missions: two have three groups in common, the third has others."""
    root = tmp_path / "tree"
    for mission, label, groups in (
        (FIRST, "审核通过", ("QC-2", "QC-10")),
        (FIRST, "审核不通过", ("QC-3",)),
        (SECOND, "审核通过", ("QC-2", "QC-7", "QC-10")),
        (SECOND, "审核不通过", ("QC-3",)),
        (THIRD, "审核通过", ("QC-99",)),
    ):
        for group in groups:
            folder = root / mission.name / label / group
            folder.mkdir(parents=True)
            for number in range(2):
                photo = demo_photos[(int(group[3:]) + number) % len(demo_photos)]
                shutil.copy(photo, folder / f"img-{number}{photo.suffix}")
    return root


def _run(
    engine: object,
    root: Path,
    missions: Sequence[Mission],
    output: Path,
    run: RunOptions | None = None,
) -> list[RunCounts | IntakeError]:
    run = run or RunOptions(ordered=True)
    outputs = []
    for mission in missions:
        backlog = GroupBacklog(PhotoTree(root), mission)
        work = SummaryWork(backlog, TEMPLATE, 24, engine.fingerprint)  # type: ignore[attr-defined]
        outputs.append((work, OutputSpec(rows_file(output, mission.name), run)))
    return run_summaries_together(engine, outputs)  # type: ignore[arg-type]


def _rows(output: Path, mission: Mission) -> list[tuple[str, object, object]]:
    lines = (output / f"{mission.name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["group_id"], row["label"], row["per_image"]) for row in rows]


def test_missions_with_groups_of_the_same_id_go_together(shared_tree: Path) -> None:
    together = missions_with_common_groups(PhotoTree(shared_tree), [THIRD, SECOND, FIRST])
    assert together == [[THIRD], [SECOND, FIRST]]
    shutil.copytree(
        shared_tree / FIRST.name / "审核通过" / "QC-2",
        shared_tree / THIRD.name / "审核不通过" / "QC-2",
    )
    assert missions_with_common_groups(PhotoTree(shared_tree), MISSIONS[:3]) == [MISSIONS[:3]]
    shutil.rmtree(shared_tree / SECOND.name)
    assert missions_with_common_groups(PhotoTree(shared_tree), MISSIONS[:3]) == [
        [FIRST, THIRD],
        [SECOND],
    ]


def test_each_mission_has_the_output_that_it_has_alone(shared_tree: Path, tmp_path: Path) -> None:
    engine = Lines()
    together, alone = tmp_path / "together", tmp_path / "alone"
    counts = _run(engine, shared_tree, [FIRST, SECOND], together)
    groups = [tuple(key.split("\x1f")[:3]) for key in engine.asked[::2]]
    assert groups == [
        (FIRST.name, "pass", "QC-2"),
        (SECOND.name, "pass", "QC-2"),
        (SECOND.name, "pass", "QC-7"),
        (FIRST.name, "pass", "QC-10"),
        (SECOND.name, "pass", "QC-10"),
        (FIRST.name, "fail", "QC-3"),
        (SECOND.name, "fail", "QC-3"),
    ]
    for mission, count in zip((FIRST, SECOND), counts, strict=True):
        run_summaries(
            engine,  # type: ignore[arg-type]
            PhotoTree(shared_tree),
            mission,
            TEMPLATE,
            alone,
            engine_options={},
            run=RunOptions(ordered=True),
            max_new_tokens=24,
        )
        assert _rows(together, mission) == _rows(alone, mission)
        assert isinstance(count, RunCounts)
        assert count.done == len(_rows(alone, mission))
        manifests = [
            read_manifest(path / f"{mission.name}.manifest.json") for path in (together, alone)
        ]
        assert manifests[0].options == manifests[1].options
        assert manifests[0].json["state"] == manifests[1].json["state"] == "ended"
    asked = len(engine.asked)
    _run(engine, shared_tree, [FIRST, SECOND], together)
    assert len(engine.asked) == asked


def test_a_run_that_ended_early_goes_on(shared_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="the model failed"):
        _run(Lines(fails_after=7), shared_tree, [FIRST, SECOND], tmp_path / "out")
    done = {mission.name: len(_rows(tmp_path / "out", mission)) for mission in (FIRST, SECOND)}
    assert done == {FIRST.name: 1, SECOND.name: 2}
    for mission in (FIRST, SECOND):
        manifest = read_manifest(tmp_path / "out" / f"{mission.name}.manifest.json")
        assert manifest.json["state"] == "interrupted"
    engine = Lines()
    _run(engine, shared_tree, [FIRST, SECOND], tmp_path / "out")
    assert len(engine.asked) == 2 * 7 - 2 * 3
    assert [len(_rows(tmp_path / "out", mission)) for mission in (FIRST, SECOND)] == [3, 4]


def test_a_mission_whose_folder_goes_away_ends_alone(shared_tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(shared_tree / FIRST.name)
    results = _run(Lines(), shared_tree, [FIRST, SECOND], tmp_path / "out")
    assert isinstance(results[0], IntakeError)
    assert isinstance(results[1], RunCounts)
    assert results[1].done == 4
    assert not (tmp_path / "out" / f"{FIRST.name}.jsonl").exists()


def test_a_limit_holds_for_each_mission(shared_tree: Path, tmp_path: Path) -> None:
    run = RunOptions(ordered=True, limit=1)
    _run(Lines(), shared_tree, [FIRST, SECOND], tmp_path / "out", run)
    assert [len(_rows(tmp_path / "out", mission)) for mission in (FIRST, SECOND)] == [1, 1]


def test_observers_see_each_mission_begin_and_end(shared_tree: Path, tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []

    class Noting:
        def began(self, info: RunInfo) -> None:
            events.append(("began", info.title))

        def finished(self, info: RunInfo, job: object) -> None:
            events.append(("finished", info.title))

        def ended(self, info: RunInfo) -> None:
            events.append(("ended", info.title))

    _run(Lines(), shared_tree, [FIRST, SECOND], tmp_path, RunOptions(observers=(Noting(),)))
    titles = [f"Stage-A {mission.name}" for mission in (FIRST, SECOND)]
    assert events[:2] == [("began", title) for title in titles]
    assert events[-2:] == [("ended", title) for title in titles]
    assert [events.count(("finished", title)) for title in titles] == [3, 4]


def test_the_manifest_tells_what_was_reused(
    engine: LocalEngine, shared_tree: Path, tmp_path: Path
) -> None:
    engine._kept.clear()
    _run(engine, shared_tree, [FIRST, SECOND], tmp_path / "out", RunOptions(limit=2))
    session = read_manifest(tmp_path / "out" / f"{SECOND.name}.manifest.json").json
    reuse = session["this_session"]["reuse"]  # type: ignore[index]
    assert reuse.keys() == {"photos", "reused_photos", "prompt_tokens", "reused_tokens"}
    assert 0 < reuse["reused_tokens"] < reuse["prompt_tokens"]
    assert reuse["photos"] <= 6
