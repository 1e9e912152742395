"""A photo tree that is watched: what is complete is handed in, once, where it lies."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from shenhe.cli.serve_watched import WatchedOptions
from shenhe.config import load_missions
from shenhe.errors import IntakeError, OptionError
from shenhe.locations import locate
from shenhe.service.jobs import Job
from shenhe.service.judging import GroupJudge
from shenhe.service.store import JobStore, open_store
from shenhe.service.watched import Watcher
from shenhe.service.watched_groups import MARKER
from tests.scripted import ScriptedEngine
from tests.service.ended_jobs import MISSION, RULES

MISSIONS = load_missions()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = open_store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / MISSION).mkdir(parents=True)
    return tmp_path / "tree"


def _add(tree: Path, group: str, *photos: Path, label: str = "") -> Path:
    folder = tree / MISSION / label / group
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        shutil.copy(photo, folder)
    return folder


def _jobs(store: JobStore) -> list[Job]:
    return [store.list(after=number, limit=1)[0] for number in range(store.counts()["queued"])]


def test_a_group_is_handed_in_when_it_is_quiet(
    store: JobStore, tree: Path, demo_photos: list[Path]
) -> None:
    watcher = Watcher(store, tree, MISSIONS, quiet_seconds=0.2)
    folder = _add(tree, "QC-1", demo_photos[0])
    (tree / MISSION / "empty").mkdir()
    assert watcher.look() == 0
    time.sleep(0.25)
    shutil.copy(demo_photos[1], folder / "img-099.jpeg")  # it goes on
    assert watcher.look() == 0
    time.sleep(0.25)
    assert watcher.look() == 1
    assert watcher.look() == 0
    (job,) = _jobs(store)
    assert (job.new.group_id, job.new.lane, job.new.label) == ("QC-1", "bulk", None)
    assert [photo.location for photo in job.new.photos] == sorted(folder.iterdir())
    assert all(photo.facts.perceptual_hash for photo in job.new.photos)


def test_a_marker_file_says_that_all_is_there(
    store: JobStore, tree: Path, demo_photos: list[Path]
) -> None:
    watcher = Watcher(store, tree, MISSIONS, quiet_seconds=3600)
    (_add(tree, "QC-1", demo_photos[0]) / MARKER).touch()
    _add(tree, "QC-2", demo_photos[1])
    assert watcher.look() == 1
    assert [job.new.group_id for job in _jobs(store)] == ["QC-1"]


def test_what_changes_is_a_new_version_and_what_does_not_is_none(
    store: JobStore, tree: Path, tmp_path: Path, demo_photos: list[Path]
) -> None:
    watcher = Watcher(store, tree, MISSIONS, quiet_seconds=0)
    folder = _add(tree, "QC-1", demo_photos[0])
    _add(tree, "QC-2", demo_photos[1], label="审核不通过")
    _add(tree, "QC-2", demo_photos[2], label="审核通过")
    assert watcher.look() == 2
    judge = GroupJudge(RULES, "scripted", tmp_path)
    for claimed in store.claim("tests", 9):
        engine = ScriptedEngine(lambda request: "接地线/安装" if not request.choices else "x")
        store.finish(claimed, judge.judge(claimed.job, engine))
    labels = [job.new.label for job in (store.latest(MISSION, "QC-2"),) if job]
    assert labels == ["pass"]  # the tree lists passed groups first; the other is told as a twin
    again = Watcher(store, tree, MISSIONS, quiet_seconds=0)
    assert again.look() == 0
    shutil.copy(demo_photos[3], folder / "img-099.jpeg")
    assert again.look() == 1
    latest = store.latest(MISSION, "QC-1")
    assert latest
    assert (latest.version, len(latest.new.photos)) == (2, 2)
    # A person moves it to a label's folder: its row is to say so.
    shutil.move(folder, tree / MISSION / "审核通过" / "QC-1")
    assert again.look() == 1
    latest = store.latest(MISSION, "QC-1")
    assert latest
    assert (latest.version, latest.new.label) == (3, "pass")


def test_what_cannot_be_judged_is_told_once(
    store: JobStore,
    tree: Path,
    demo_photos: list[Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    watcher = Watcher(store, tree, MISSIONS, quiet_seconds=0)
    _add(tree, "QC-1", demo_photos[0], label="审核通过")
    _add(tree, "QC-1", demo_photos[1], label="审核不通过")
    (_add(tree, "QC-2") / "1.jpg").write_bytes(b"no photo")
    assert watcher.look() == 2
    watcher.look()
    assert caplog.text.count("QC-1 of BBU接地线检查 stands there twice") == 1
    broken = store.latest(MISSION, "QC-2")
    assert broken
    assert broken.new.photos[0].problem


def test_a_tree_in_an_object_store_is_watched_too(store: JobStore, demo_photos: list[Path]) -> None:
    root = "memory://watched"
    with fsspec.open(f"{root}/{MISSION}/QC-1/1.jpg", "wb") as file:
        file.write(demo_photos[0].read_bytes())
    watcher = Watcher(store, locate(root), MISSIONS, quiet_seconds=0)
    assert watcher.look() == 1
    (job,) = _jobs(store)
    assert str(job.new.photos[0].location) == f"{root}/{MISSION}/QC-1/1.jpg"
    assert watcher.look() == 0


def test_a_folder_that_is_not_there_is_refused(store: JobStore, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="no such folder"):
        Watcher(store, tmp_path / "nowhere", MISSIONS, quiet_seconds=0)


def test_the_service_looks_again_and_again(
    store: JobStore, tree: Path, demo_photos: list[Path]
) -> None:
    woken: list[bool] = []
    watcher = Watcher(store, tree, MISSIONS, 0, lambda: woken.append(True))
    watcher.start()
    _add(tree, "QC-1", demo_photos[0])
    _until(lambda: bool(woken))
    watcher.stop()
    assert store.counts()["queued"] == 1


def test_a_time_that_is_none_is_refused() -> None:
    WatchedOptions(watch_quiet=0).check()
    with pytest.raises(OptionError, match="--watch-quiet -1: must be 0 or more"):
        WatchedOptions(watch_quiet=-1).check()


def _until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
