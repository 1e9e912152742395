"""Rows that follow the results: each group's current version exactly once, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shenhe.config import Missions
from shenhe.service.rows import Mark, RowsFollower
from shenhe.service.store import JobStore, open_store
from tests.service.ended_jobs import MISSION, EndedJobs
from tests.warm import SHENHE

OTHER = "挡风板安装检查"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Iterator[JobStore]:
    store = open_store(data)
    yield store
    store.close()


@pytest.fixture
def ended(store: JobStore, tmp_path: Path) -> EndedJobs:
    return EndedJobs(store, tmp_path)


@pytest.fixture
def follower(store: JobStore, data: Path, ended: EndedJobs) -> RowsFollower:
    return RowsFollower(store, data, lambda: ended.judge)


def _rows(data: Path, stage: str, kind: str = "") -> dict[str, Any]:
    """Read the rows of a stage by group; one that stands twice fails."""
    path = data / stage / f"{MISSION}{kind}.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    by_group = {row["group_id"]: row for row in rows}
    assert len(by_group) == len(rows)
    return by_group


def _manifest(data: Path, stage: str) -> dict[str, Any]:
    content = json.loads((data / stage / f"{MISSION}.manifest.json").read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def test_rows_are_those_of_the_results(
    ended: EndedJobs, follower: RowsFollower, data: Path
) -> None:
    jobs = [ended.end("QC-1", "good"), ended.end("QC-2", "no line"), ended.end("QC-3", "undecided")]
    mark = follower.write_after(Mark())
    assert mark == Mark(3, jobs[2].id) == follower.read_mark()
    assert list(_rows(data, "stage_a")) == ["QC-1", "QC-3"]
    assert list(_rows(data, "stage_b")) == ["QC-1", "QC-2", "QC-3"]
    for job in jobs:
        assert job.result
        row = _rows(data, "stage_b")[job.new.group_id]
        assert row == json.loads(job.result.verdict.to_json())
    assert list(_rows(data, "stage_a", ".failures")) == ["QC-2"]
    assert [f["code"] for f in _rows(data, "stage_b", ".failures").values()] == [
        "stage_a_incomplete",
        "format",
    ]
    counts = _manifest(data, "stage_a")["counts"]
    assert counts == {"groups": 3, "done": 2, "failed": 1, "undecided": 0}
    counts = _manifest(data, "stage_b")["counts"]
    assert counts == {"groups": 3, "done": 3, "failed": 0, "undecided": 2}
    assert follower.write_after(mark) == mark


def test_a_new_version_takes_the_place_of_the_earlier_one(
    ended: EndedJobs, follower: RowsFollower, data: Path
) -> None:
    ended.end("QC-1", "good")
    ended.end("QC-2", "no line")
    ended.end("QC-3", "good")
    mark = follower.write_after(Mark())
    ended.end("QC-1", "no line")
    ended.end("QC-2", "better")
    ended.end("QC-3", "undecided")
    ended.end("QC-3", "undecided again")
    mark = follower.write_after(mark)
    assert list(_rows(data, "stage_a")) == ["QC-2", "QC-3"]
    assert _rows(data, "stage_a")["QC-3"]["per_image"] == {
        "图片_1": "接地线/undecided again,安装符合要求"
    }
    assert list(_rows(data, "stage_a", ".failures")) == ["QC-1"]
    verdicts = _rows(data, "stage_b")
    assert [verdicts[f"QC-{n}"]["verdict"] for n in (1, 2, 3)] == [None, "不通过", None]
    assert sorted(_rows(data, "stage_b", ".failures")) == ["QC-1", "QC-3"]
    counts = {"groups": 3, "done": 2, "failed": 1, "undecided": 0}
    assert _manifest(data, "stage_a")["counts"] == counts
    # One that could not be worked on is told of, and is no pass.
    ended.fail("QC-2", "worse", "the GPU fell off")
    follower.write_after(mark)
    assert list(_rows(data, "stage_a")) == ["QC-3"]
    assert _rows(data, "stage_a", ".failures")["QC-2"]["code"] == "job_failed"
    assert _rows(data, "stage_b")["QC-2"]["status"] == "undecided"


def test_a_group_that_moves_to_another_label_stands_once(
    ended: EndedJobs, follower: RowsFollower, data: Path
) -> None:
    ended.end("QC-1", "good")
    ended.end("QC-2", "no line")
    mark = follower.write_after(Mark())
    ended.end("QC-1", "good and passed", label="pass")
    ended.end("QC-2", "good and failed", label="fail")
    follower.write_after(mark)
    labels = {name: row["label"] for name, row in _rows(data, "stage_b").items()}
    assert labels == {"QC-1": "pass", "QC-2": "fail"}
    assert list(_rows(data, "stage_a")) == ["QC-1", "QC-2"]
    assert _rows(data, "stage_a", ".failures") == {}
    assert _rows(data, "stage_b", ".failures") == {}


def test_a_lost_mark_or_another_database_writes_all_once_more(
    ended: EndedJobs, follower: RowsFollower, data: Path
) -> None:
    for number in range(5):
        ended.end(f"QC-{number}", "good")
    follower.write_after(Mark())
    before = _rows(data, "stage_b")
    for content in ("", "{", '{"number": 99, "job_id": "of another database"}'):
        (data / "service" / "rows.json").write_text(content, encoding="utf-8")
        assert follower.read_mark() == Mark()
        follower.write_after(Mark())
        assert _rows(data, "stage_b") == before


def test_other_options_are_told_and_the_rows_stay(
    ended: EndedJobs,
    follower: RowsFollower,
    data: Path,
    store: JobStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended.end("QC-1", "good")
    mark = follower.write_after(Mark())
    ended.judge.fingerprint = "another"
    ended.judge._works.clear()
    ended.end("QC-2", "good")
    follower.write_after(mark)
    assert "new rows are made otherwise: checkpoint was 'scripted', now 'another'" in caplog.text
    checkpoints = [row["meta"]["checkpoint"] for row in _rows(data, "stage_b").values()]
    assert checkpoints == ["scripted", "another"]
    assert _manifest(data, "stage_b")["options"]["checkpoint"] == "another"


def test_results_of_a_mission_without_configuration_are_written_when_it_is_back(
    ended: EndedJobs, follower: RowsFollower, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended.end("QC-1", "good")
    ended.end("QC-2", "good", mission=OTHER)
    ended.end("QC-1", "better")
    known = ended.judge.rules
    rest = Missions(tuple(each for each in known.missions if each.name != MISSION))
    ended.judge.rules = replace(known, missions=rest)
    mark = follower.write_after(Mark())
    assert (mark.number, mark.missed) == (3, {MISSION: 0})
    assert f"{MISSION!r} is not configured here: its rows wait" in caplog.text
    assert not (data / "stage_b" / f"{MISSION}.jsonl").exists()
    ended.judge.rules = known
    last = ended.end("QC-3", "good")
    ended.judge.rules = replace(known, missions=rest)
    mark = follower.write_after(follower.read_mark())
    assert (mark.number, mark.missed) == (4, {MISSION: 0})
    ended.judge.rules = known
    assert follower.write_after(follower.read_mark()) == Mark(4, last.id)
    assert list(_rows(data, "stage_b")) == ["QC-1", "QC-3"]
    assert "better" in str(_rows(data, "stage_a")["QC-1"])
    assert follower.read_mark().missed == {}


def test_commands_work_while_the_service_lives(
    ended: EndedJobs, follower: RowsFollower, data: Path
) -> None:
    for number in range(4):
        ended.end(f"QC-{number}", "good", label="fail")
    ended.end("QC-4", "no line", label="fail")
    follower.start()
    _until(lambda: (data / "service" / "rows.json").exists())
    commands = {
        ("status", str(data)): 1,
        ("report", str(data)): 0,
        ("evaluate", "verdicts", str(data)): 0,
        ("fsck", str(data)): 0,
    }
    for arguments, code in commands.items():
        done = subprocess.run([*SHENHE, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        if arguments[0] == "status":
            assert "running" in done.stdout
    ended.end("QC-0", "later", label="fail")
    _until(lambda: "later" in str(_rows(data, "stage_a").get("QC-0")))
    follower.stop()
    assert _manifest(data, "stage_b")["state"] == "ended"
    done = subprocess.run([*SHENHE, "fsck", str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_of_two_processes_one_writes_and_the_other_goes_on(
    ended: EndedJobs, store: JobStore, data: Path
) -> None:
    ended.end("QC-1", "good")
    followers = [RowsFollower(store, data, lambda: ended.judge) for _ in range(2)]
    for each in followers:
        each.start()
    _until(lambda: (data / "stage_b").exists())
    for number, each in enumerate(followers, 2):
        ended.end(f"QC-{number}", "good")
        _until(lambda number=number: len(_rows(data, "stage_b")) == number)
        each.stop()


def test_killed_at_any_point_each_current_version_stands_once(
    ended: EndedJobs, store: JobStore, data: Path
) -> None:
    rng, texts = random.Random(0), ("good", "no line", "undecided", "better")
    for number in range(24):
        for group in rng.sample(range(12), 3):
            ended.end(f"QC-{group}", f"{rng.choice(texts)} {number}")
        child = os.fork()
        if not child:
            _follow_until_killed(data, ended)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    follower = RowsFollower(store, data, lambda: ended.judge)
    follower.write_after(follower.read_mark())
    verdicts = _rows(data, "stage_b")
    assert len(verdicts) == 12
    for group_id in verdicts:
        job = store.latest(MISSION, group_id)
        assert job
        assert job.result
        assert verdicts[group_id] == json.loads(job.result.verdict.to_json())
        assert (group_id in _rows(data, "stage_a")) is (job.result.summary is not None)
    done = subprocess.run([*SHENHE, "fsck", str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _follow_until_killed(data: Path, ended: EndedJobs) -> None:
    """Write rows in a forked process, which never returns."""
    try:
        store = open_store(data)
        follower = RowsFollower(store, data, lambda: ended.judge)
        follower.write_after(follower.read_mark())
        time.sleep(60)
    finally:
        os._exit(1)


def _until(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
