"""What comes to a watched folder, or goes from it, is judged as by a run; what is away is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shenhe.service.job_records import verdict_of_job
from shenhe.service.judging import GroupJudge
from shenhe.service.store import JobStore, open_store
from shenhe.service.watched import UNREAD_TIMES, Watcher
from tests.scripted import ScriptedEngine
from tests.service.ended_jobs import RULES
from tests.service.handed_in import handed_in
from tests.service.jobs_of_trees import GROUND, MISSIONS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with closing(open_store(tmp_path / "data")) as store:
        yield store


@pytest.fixture
def tree(tmp_path: Path, demo_photos: list[Path]) -> Path:
    for number in (1, 2):
        folder = tmp_path / "tree" / GROUND / f"QC-{number}"
        folder.mkdir(parents=True)
        shutil.copy(demo_photos[number], folder / "1.jpg")
    return tmp_path / "tree"


@pytest.fixture
def watcher(store: JobStore, tree: Path) -> Watcher:
    return Watcher(store, tree, MISSIONS, quiet_seconds=0)


def _work(store: JobStore) -> None:
    judge = GroupJudge(RULES, "scripted", Path("nowhere"))
    for claimed in store.claim("tests", 9):
        engine = ScriptedEngine(
            lambda request: "通过\n理由: 好" if request.choices else "接地线/好"
        )
        assert store.finish(claimed, judge.judge(claimed.job, engine))


def _outcome(store: JobStore, group_id: str) -> tuple[int, str | None, list[str]]:
    """Give the current version of a group, its status, and the codes of its failures."""
    job = store.latest(GROUND, group_id)
    assert job
    assert job.result
    verdict = job.result.verdict
    return job.version, verdict.verdict, [failure.code for failure in job.result.failures]


def test_a_file_that_is_left_out_and_one_that_goes_again_are_versions(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    video = tree / GROUND / "QC-1" / "video.mp4"
    assert watcher.look() == 2
    video.write_bytes(b"\0\0\0\x18ftypmp42" * 9)
    assert watcher.look() == 1
    video.unlink()
    assert watcher.look() == 1
    assert watcher.look() == 0
    latest = store.latest(GROUND, "QC-1")
    assert latest is not None
    assert latest.version == 3


def test_a_group_whose_photos_vanish_is_undecided_until_they_are_back(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    folder = tree / GROUND / "QC-1"
    watcher.look()
    _work(store)
    for version, move in ((2, "out"), (3, "in"), (4, "out")):
        here, there = folder / "1.jpg", tree.parent / "1.jpg"
        shutil.move(*((here, there) if move == "out" else (there, here)))
        assert watcher.look() == 1
        _work(store)
        number, ruling, codes = _outcome(store, "QC-1")
        assert number == version
        if move == "out":
            assert (ruling, codes) == (None, ["no_photos", "stage_a_incomplete"])
    for again in (watcher, Watcher(store, tree, MISSIONS, quiet_seconds=0)):
        assert again.look() == 0
    job = store.latest(GROUND, "QC-1")
    assert job
    judge = GroupJudge(RULES, "scripted", Path("nowhere"))
    row = verdict_of_job(job, judge.works_of(GROUND)).record.row
    assert row is not None
    assert "没有照片" in str(row)


def test_a_group_whose_folder_is_a_link_that_leads_nowhere_is_undecided(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    folder, elsewhere = tree / GROUND / "QC-1", tree.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    (tree / GROUND / "QC-77").symlink_to(tree.parent / "never")
    watcher.look()
    _work(store)
    assert _outcome(store, "QC-1")[::2] == (1, ["evidence_missing"])
    away = elsewhere.rename(tree.parent / "away")
    assert watcher.look() == 1
    _work(store)
    assert _outcome(store, "QC-1") == (2, None, ["unreadable", "stage_a_incomplete"])
    assert watcher.look() == 0
    assert store.latest(GROUND, "QC-77") is None  # it never had a photo
    away.rename(elsewhere)
    assert watcher.look() == 1
    _work(store)
    assert _outcome(store, "QC-1")[::2] == (3, ["evidence_missing"])


def test_a_link_that_cannot_be_followed_costs_no_other_group_its_watch(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    folder = tree / GROUND / "QC-1"
    assert watcher.look() == 2
    _work(store)
    shutil.rmtree(folder)
    folder.symlink_to("远" * 300)  # longer than a name may be
    (tree / GROUND / "QC-0").symlink_to("QC-0")  # leads to itself
    (tree / GROUND / "读我.txt").symlink_to(__file__)
    shutil.copytree(tree / GROUND / "QC-2", tree / GROUND / "QC-3")
    assert watcher.look() == 2
    _work(store)
    assert _outcome(store, "QC-1") == (2, None, ["unreadable", "stage_a_incomplete"])
    latest = store.latest(GROUND, "QC-1")
    assert latest is not None
    assert latest.new.empty is not None
    assert latest.new.empty.problem.endswith("a link that cannot be followed: File name too long")
    assert watcher.look() == 0


def test_what_lies_in_a_folder_without_photos_is_told_as_by_a_run(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    watcher.look()
    _work(store)
    (tree / GROUND / "QC-1" / "1.jpg").rename(tree / GROUND / "QC-1" / "1.mp4")
    assert watcher.look() == 1
    _work(store)
    assert _outcome(store, "QC-1")[1:] == (None, ["no_photos", "left_out", "stage_a_incomplete"])


def test_a_folder_that_cannot_be_looked_at_costs_the_verdict(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    """A name that is no text: a problem that root has, too."""
    watcher.look()
    _work(store)
    folder = tree / GROUND / "QC-1"
    shutil.copy(folder / "1.jpg", folder / os.fsdecode(b"\xb2.jpg"))
    assert watcher.look() == 1
    _work(store)
    assert _outcome(store, "QC-1") == (2, None, ["bad_name", "stage_a_incomplete"])
    assert _outcome(store, "QC-2")[0] == 1


def test_a_photo_that_nobody_can_read_costs_the_verdict_and_gives_it_back(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    watcher.look()
    _work(store)
    photo = tree / GROUND / "QC-1" / "1.jpg"
    photo.rename(tree.parent / "1.jpg")
    photo.symlink_to(tree.parent / "nowhere")
    assert [watcher.look() for _ in range(UNREAD_TIMES + 1)] == [0] * (UNREAD_TIMES - 1) + [1, 0]
    _work(store)
    assert _outcome(store, "QC-1")[:2] == (2, None)
    photo.unlink()
    (tree.parent / "1.jpg").rename(photo)
    again = Watcher(store, tree, MISSIONS, quiet_seconds=0)
    assert again.look() == 1
    _work(store)
    assert _outcome(store, "QC-1")[0] == 3


@pytest.mark.parametrize("loss", ["removed", "unmounted", "a file"])
def test_a_tree_that_is_away_changes_nothing_and_is_told(
    store: JobStore, tree: Path, watcher: Watcher, caplog: pytest.LogCaptureFixture, loss: str
) -> None:
    watcher.look()
    _work(store)
    tree.rename(tree.parent / "away")
    if loss == "unmounted":
        tree.mkdir()
    if loss == "a file":
        tree.touch()
    for _ in range(2):
        assert watcher.look() == 0
        assert str(tree) in watcher.problem
    assert caplog.text.count("watched tree") == 1
    assert [_outcome(store, f"QC-{number}")[0] for number in (1, 2)] == [1, 1]
    if loss != "removed":
        (tree.rmdir if loss == "unmounted" else tree.unlink)()
    (tree.parent / "away").rename(tree)
    assert watcher.look() == 0
    assert watcher.problem == ""


def test_an_empty_tree_from_which_nothing_came_is_no_problem(
    store: JobStore, tmp_path: Path
) -> None:
    (tmp_path / "drop").mkdir()
    watcher = Watcher(store, tmp_path / "drop", MISSIONS, quiet_seconds=0)
    assert (watcher.look(), watcher.problem) == (0, "")


def test_an_empty_folder_undoes_nothing_that_was_handed_in_otherwise(
    store: JobStore, watcher: Watcher, tmp_path: Path
) -> None:
    watcher.look()
    (tmp_path / "another" / GROUND / "QC-1").mkdir(parents=True)
    another = Watcher(store, tmp_path / "another", MISSIONS, quiet_seconds=0)
    assert another.look() == 0
    assert store.counts()["queued"] == 2


@pytest.mark.parametrize("before", ["once", "changed", "changed and back"])
def test_a_folder_that_has_not_changed_undoes_nothing_that_was_handed_in_since(
    store: JobStore, tree: Path, watcher: Watcher, demo_photos: list[Path], before: str
) -> None:
    folder = tree / GROUND / "QC-1"
    assert watcher.look() == 2
    if before != "once":
        shutil.copy(demo_photos[3], folder / "2.jpg")
        assert watcher.look() == 1
    if before == "changed and back":
        (folder / "2.jpg").unlink()
        assert watcher.look() == 1
    for _ in range(3):
        _work(store)
    newer, _ = store.submit(handed_in("QC-1", "newer", mission=GROUND))
    assert newer.is_current
    assert watcher.look() == 0
    # Neither a service that starts again nor a touch makes the folder's photos the newest ones.
    assert Watcher(store, tree, MISSIONS, quiet_seconds=0).look() == 0
    os.utime(folder / "1.jpg", (1_600_000_000, 1_600_000_000))
    for again in (watcher, Watcher(store, tree, MISSIONS, quiet_seconds=0)):
        assert again.look() == 0
    latest = store.latest(GROUND, "QC-1")
    assert latest is not None
    assert latest.id == newer.id
    # What does change is newer, also where it has been so before.
    shutil.copy(demo_photos[4 if before == "once" else 3], folder / "2.jpg")
    assert watcher.look() == (before != "changed")
    (folder / "2.jpg").unlink()
    assert watcher.look() == 1
    assert Watcher(store, tree, MISSIONS, quiet_seconds=0).look() == 0


def test_a_watcher_forgets_groups_that_are_gone(
    store: JobStore, tree: Path, watcher: Watcher
) -> None:
    watcher.look()
    assert len(watcher._handed_in) == 2
    shutil.rmtree(tree / GROUND / "QC-1")
    assert watcher.look() == 0
    assert list(watcher._handed_in) == [f"{GROUND}\x1f\x1fQC-2"]
    assert store.counts()["queued"] == 2
