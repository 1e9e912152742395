"""The power goes: whatever was not on disk yet is lost, in any order; the same command mends it."""

from __future__ import annotations

import json
import random
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.intake import PhotoTree
from shenhe.messages import Request, RequestFailed
from shenhe.rows import row_index
from shenhe.runs import RunOptions, find_stage_a, run_summaries, run_verdicts
from shenhe.shards import shard_path
from tests.runs.disk_trace import Disk
from tests.runs.reading import said
from tests.scripted import ScriptedEngine

MISSIONS, PROMPTS = load_missions(), load_prompts()
MISSION = MISSIONS.get("挡风板安装检查")
CUTS = 120
Make = Callable[..., Path]


def _reviewed(
    tree: Path, out: Path, *broken: str, limit: int | None = None
) -> tuple[list[Request], list[Request]]:
    """Do both stages; photos of the groups named `broken` fail. Gives what was asked."""

    def line(request: Request) -> str | RequestFailed:
        if request.key.split("\x1f")[2] in broken:
            return RequestFailed(request.key, "missing", "no such photo", request.attempt)
        return "标签/可以识别×1" if "g2" in request.key else "BBU设备/华为,显示完整,无需安装×1"

    def ruling(request: Request) -> str:
        return "也许" if "g4" in request.key else "通过\n理由: 图片_1符合要求" + "啊" * 200

    run = RunOptions(limit=limit, shard_bytes=3000)
    first, second = ScriptedEngine(line), ScriptedEngine(ruling)
    photos = PhotoTree(tree)
    run_summaries(
        first, photos, MISSION, PROMPTS.summary, out / "stage_a", engine_options={}, run=run
    )
    for source in find_stage_a(out / "stage_a", MISSIONS):
        run_verdicts(second, source, PROMPTS.verdict, out / "stage_b", engine_options={}, run=run)
    return first.asked, second.asked


def _said(out: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What was said of each group, in whichever of an output's files."""
    rows = said(out)
    by_stage = {(name.partition("/")[0], key): row for (name, key), row in rows.items()}
    assert len(by_stage) == len(rows), "a group stands in two files"
    return by_stage


def _failures(out: Path) -> list[tuple[Any, ...]]:
    rows = []
    for path in sorted(out.glob("stage_*/*.failures.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append((path.parent.name, row["group_id"], row["item"], row["code"], row["raw"]))
    return sorted(rows, key=str)


@pytest.fixture
def trace(
    make_group: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Disk, Path, Path]:
    """Four sessions, recorded: cut short, with a failure, with another, and nothing to do."""
    monkeypatch.setattr(row_index, "PENDING", 2)
    for number in range(7):
        make_group(f"g{number}", "1.jpg", "2.jpg", label="审核通过")
    out = tmp_path / "out"
    out.mkdir()
    disk = Disk(out)
    with disk.recorded():
        for broken, limit in (("g1g6", 3), ("g1g6", None), ("g6", None), ("g6", None)):
            _reviewed(tmp_path / "tree", out, broken[:2], broken[-2:], limit=limit)
    return disk, tmp_path / "tree", out


def test_whatever_a_power_cut_leaves_the_same_command_mends(
    trace: tuple[Disk, Path, Path],
) -> None:
    disk, tree, out = trace
    rows, failures = _said(out), _failures(out)
    assert len(rows) == 13  # the group that fails has a verdict row alone
    rng = random.Random(7)
    runs_with_requests = 0
    for cut in range(CUTS):
        disk.after_cut(disk.moment(rng), rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of rows that were set aside
            runs_with_requests += bool(sum(map(len, _reviewed(tree, out, "g6"))))
        assert _said(out) == rows, cut
        assert _failures(out) == failures, cut
    assert runs_with_requests > CUTS // 3  # there was something to mend


def test_what_has_ended_is_on_disk(trace: tuple[Disk, Path, Path]) -> None:
    disk, tree, out = trace
    for seed in range(8):
        disk.after_cut(len(disk.ops), random.Random(seed))
        lines, rulings = _reviewed(tree, out, "g6")
        assert {request.key.split("\x1f")[2] for request in lines} == {"g6"}
        assert not rulings


def test_an_index_knows_only_what_is_on_disk(trace: tuple[Disk, Path, Path]) -> None:
    disk, _, _ = trace
    looked_at = 0
    for calls, name, data in disk.indexes:
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(data)
            number, offset = db.execute("SELECT shard, offset FROM seen").fetchone()
        rows = shard_path(Path(name).with_name(f"{MISSION.name}.jsonl"), number)
        written, synced = disk.length(calls, str(rows))
        # Past the end of rows that were written anew it fits them no more, and is made anew.
        assert offset <= synced or offset > written, (calls, rows)
        looked_at += 0 < offset <= synced
    assert looked_at > 50
