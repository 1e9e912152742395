"""Errors of the disk, SQLite and JSON stop a run with one line, and it resumes."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.injection import NEVER, Fault, assert_accounted_for, name_of, run
from tests.scripted import ScriptedEngine

GROUPS = {f"g{number}" for number in range(5)}
Make = Callable[..., Path]
SYSTEM = (
    PermissionError(13, "Permission denied"),
    OSError(5, "Input/output error"),
    OSError(28, "No space left on device"),
    FileNotFoundError(2, "No such file or directory"),
    InterruptedError(4, "Interrupted system call"),
    *NEVER,
)
DATABASE = (
    sqlite3.OperationalError("database is locked"),
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.DatabaseError("database disk image is malformed"),
    sqlite3.IntegrityError("UNIQUE constraint failed"),
    sqlite3.InterfaceError("bad parameter"),
    sqlite3.NotSupportedError("x"),
    sqlite3.ProgrammingError("Cannot operate on a closed database."),
    *NEVER,
)
PARSER = (
    ValueError("invalid JSON"),
    json.JSONDecodeError("Expecting value", "", 0),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    *NEVER,
)


@pytest.fixture
def tree(tmp_path: Path, make_group: Make) -> Path:
    for name in sorted(GROUPS):
        make_group(name, "img-1.jpg", "img-2.jpg", label="审核通过")
    return tmp_path / "tree"


def _answer(request: Any) -> str:
    return (
        "通过\n理由: 图片_1中BBU设备无需安装挡风板"
        if request.choices
        else "BBU设备/华为,显示完整,无需安装×1"
    )


def _stopped_and_resumed(tree: Path, out: Path, fault: Fault, patch: pytest.MonkeyPatch) -> None:
    """Run with the fault, which the edge turns into one line, and again without it."""
    engine = ScriptedEngine(_answer)
    with patch.context() as patched:
        fault.inject(patched)
        stopped_by: BaseException | None = None
        try:
            run(engine, tree, out)
        except (OSError, KeyError, ZeroDivisionError, RecursionError) as error:
            stopped_by = error
    assert stopped_by in (None, fault.error)
    assert fault.raised, f"{fault.name} was called {fault.calls} times"
    assert run(engine, tree, out) is None
    assert_accounted_for(out, GROUPS)


@pytest.mark.parametrize("error", SYSTEM, ids=name_of)
@pytest.mark.parametrize(("name", "at"), [("scandir", 4), ("replace", 3), ("fsync", 1)])
def test_the_file_system(
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    at: int,
    error: BaseException,
) -> None:
    _stopped_and_resumed(tree, tmp_path / "out", Fault(os, name, error, at), monkeypatch)


@pytest.mark.parametrize("error", DATABASE, ids=name_of)
@pytest.mark.parametrize("at", [1, 2])
def test_sqlite_cannot_connect(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException
) -> None:
    _stopped_and_resumed(tree, tmp_path / "out", Fault(sqlite3, "connect", error, at), monkeypatch)


@pytest.mark.parametrize("error", DATABASE, ids=name_of)
@pytest.mark.parametrize("at", [1, 3, 9])
def test_sqlite_cannot_execute(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException
) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            return super().execute(*args)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Connection))
    fault = Fault(Connection, "execute", error, at)
    _stopped_and_resumed(tree, tmp_path / "out", fault, monkeypatch)


@pytest.mark.parametrize("error", PARSER, ids=name_of)
@pytest.mark.parametrize("module", ["shenhe.rows.ledger", "shenhe.rows.manifest"])
def test_json(
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    error: BaseException,
) -> None:
    """The next run reads the files of the first."""
    assert run(ScriptedEngine(_answer), tree, tmp_path / "out") is None
    fault = Fault(sys.modules[module], "from_json", error)
    _stopped_and_resumed(tree, tmp_path / "out", fault, monkeypatch)
