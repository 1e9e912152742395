"""Decisions: every version is kept, none overwrites another."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shenhe.errors import ConflictError, RunError
from shenhe.runs.decisions import Decision, Decisions, Said, decisions_file

Make = Callable[..., Decision]


def decision(
    key: str = "g1", version: int = 1, choice: str = "不通过", who: str = "李工"
) -> Decision:
    said = {"choice": choice, "comment": "看不清", "lines": {"图片_1": "无关图片"}}
    return Decision(
        key=key,
        group_id=key,
        mission="挡风板安装检查",
        label=None,
        verdict="通过",
        version=version,
        said=Said.model_validate(said),
        reviewer=who,
        at="2026-11-20T09:00:00.000000Z",
    )


def test_versions_are_kept_and_none_is_written_twice(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    first = decisions.add(decision())
    assert first.number == 1
    assert decisions.current("g1") == first
    assert first.overrules
    with pytest.raises(ConflictError, match="李工 decided") as conflict:
        decisions.add(decision(who="王工"))
    assert conflict.value.key == "g1"
    with pytest.raises(ConflictError):
        decisions.add(decision(version=3))
    second = decisions.add(decision(version=2, choice="通过", who="王工"))
    assert not second.overrules
    assert [one.version for one in decisions.history("g1")] == [2, 1]
    assert list(Decisions(tmp_path).all_current()) == [second]


def test_undo_goes_back_step_by_step(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    decisions.add(decision("g1"))
    decisions.add(decision("g1", 2, "待定"))
    decisions.add(decision("g2"))
    undone = decisions.undo("李工")
    assert undone is not None
    assert (undone.key, undone.said, undone.undoes, undone.version) == ("g2", None, 3, 2)
    undone = decisions.undo("李工")
    assert undone is not None
    assert undone.said is not None
    assert (undone.key, undone.said.choice, undone.version) == ("g1", "不通过", 3)
    assert [one.key for one in decisions.all_current()] == ["g1"]
    undone = decisions.undo("李工")
    assert undone is not None
    assert (undone.key, undone.said, undone.undoes, undone.version) == ("g1", None, 1, 4)
    assert decisions.undo("李工") is None
    assert list(decisions.all_current()) == []
    decisions.add(decision("g1", 5))
    # A group that was taken back is open again, and goes on from its last version.
    decisions.add(decision("g2", 3))
    assert len(decisions.trail()) == 8
    assert decisions.undo("王工") is None


def test_what_somebody_else_said_since_is_not_undone(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    decisions.add(decision("g1", who="李工"))
    theirs = decisions.add(decision("g1", 2, "待定", who="王工"))
    with pytest.raises(ConflictError):
        decisions.undo("李工")
    assert decisions.current("g1") == theirs


def test_of_many_at_once_one_writes_each_version(tmp_path: Path) -> None:
    Decisions(tmp_path)
    written: list[Decision] = []
    refused: list[ConflictError] = []

    def work(who: str) -> None:
        decisions = Decisions(tmp_path)
        for key in range(40):
            try:
                written.append(decisions.add(decision(f"g{key}", who=who)))
            except ConflictError as error:
                refused.append(error)

    threads = [threading.Thread(target=work, args=(f"审核人{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 40
    assert len(refused) == 120
    assert list(Decisions(tmp_path).all_current()) == sorted(written, key=lambda one: one.number)


def test_the_trail_in_pages(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    for number in range(5):
        decisions.add(decision(f"g{number}"))
    assert [one.key for one in decisions.trail(count=2)] == ["g4", "g3"]
    assert [one.key for one in decisions.trail(before=4, count=2)] == ["g2", "g1"]


def test_files_that_are_none(tmp_path: Path) -> None:
    path = decisions_file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be looked at" * 30)
    with pytest.raises(RunError, match="cannot be opened"):
        Decisions(tmp_path)
    path.unlink()
    Decisions(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RunError, match="later shenhe"):
        Decisions(tmp_path)
