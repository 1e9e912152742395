"""The index beside the rows: made of them, and of nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from shenhe.errors import RunError
from shenhe.row_types import VerdictMeta, VerdictRow
from shenhe.rows.keys import key_of
from shenhe.rows.ledger import Position
from shenhe.rows.row_index import RowIndex, index_file
from shenhe.values import group_key

MISSION = "挡风板安装检查"


def _line(number: int, *, undecided: bool = False, group: str | None = None) -> bytes:
    row = {
        "group_id": group or f"QC-{number:05d}",
        "mission": MISSION,
        "label": ("pass", "fail", None)[number % 3],
        "reason": 'he said "status":"undecided"',
        "status": "undecided" if undecided else "decided",
        "meta": {"inputs_hash": f"{number:016x}"},
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _key(number: int) -> str:
    label = ("pass", "fail", None)[number % 3]
    return group_key(MISSION, label, f"QC-{number:05d}")  # type: ignore[arg-type]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / f"{MISSION}.jsonl"
    path.write_bytes(b"".join(_line(n, undecided=n % 10 == 0) for n in range(1000)))
    return path


def _open(rows: Path) -> RowIndex:
    return RowIndex(rows, key_of)


def test_it_knows_what_the_rows_say(rows: Path) -> None:
    index = _open(rows)
    assert (len(index), index.unsettled) == (1000, 100)
    assert all(_key(n) in index for n in range(1000))
    assert _key(1000) not in index
    assert [index.settled(_key(n)) for n in (9, 10, 1000)] == [True, False, False]
    assert index.inputs_hash(_key(17)) == f"{17:016x}"
    assert sorted(index.keys()) == sorted(map(_key, range(1000)))
    index.close()


@pytest.mark.parametrize("inputs_hash", [None, "f" * 16])
def test_keys_that_other_tools_gave_a_row_decide_nothing(
    inputs_hash: str | None, tmp_path: Path
) -> None:
    extra: dict[str, JsonValue] = {
        "status": "undecided",
        "inputs_hash": "theirs",
        "left_out": [{"path": "a"}],
        "extra": {"status": "undecided"},
    }
    row = VerdictRow(
        group_id="g",
        mission=MISSION,
        label=None,
        verdict="通过",
        reason='"extra":{"a"',
        p_pass=None,
        status="decided",
        raw="",
        timestamp="t",
        meta=VerdictMeta(prompt_hash="", checkpoint="", inputs_hash=inputs_hash, answers={}),
        extra=extra,
    )
    rows = tmp_path / "a.jsonl"
    rows.write_text(row.to_json() + "\n", encoding="utf-8")
    index = _open(rows)
    assert (index.unsettled, index.inputs_hash(row.key)) == (0, inputs_hash)
    index.close()


def test_only_what_is_new_is_read(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open(rows).close()
    with rows.open("ab") as file:
        file.write(_line(1000) + _line(1001)[:-5])
    read: list[int] = []
    whole = RowIndex._read

    def counted(self: RowIndex, path: Path, number: int, line: bytes) -> object:
        read.append(number)
        return whole(self, path, number, line)

    monkeypatch.setattr(RowIndex, "_read", counted)
    index = _open(rows)
    assert len(read) == 1
    assert _key(1000) in index
    assert _key(1001) not in index  # torn
    index.close()


def test_what_is_added_is_there_at_once_and_later(rows: Path) -> None:
    index = _open(rows)
    with rows.open("ab") as file:
        for n in range(1000, 2500):
            file.write(_line(n))
            file.flush()
            index.add(_key(n), settled=n != 2000, inputs_hash=None, end=Position(1, file.tell()))
            assert _key(n) in index
    assert (len(index), index.unsettled) == (2500, 101)
    # Killed here: what was pending is read from the rows.
    index._db.close()
    again = _open(rows)
    assert len(again) == 2500
    again.close()


@pytest.mark.parametrize("harm", ["cut", "other", "garbage", "lost", "older"])
def test_an_index_that_does_not_fit_is_made_anew(harm: str, rows: Path) -> None:
    _open(rows).close()
    lines = rows.read_bytes().splitlines(keepends=True)
    if harm == "cut":
        rows.write_bytes(b"".join(lines[:500]))
    elif harm == "other":
        rows.write_bytes(b"".join(lines[500:]) + b"".join(map(_line, range(3000, 4000))))
    elif harm == "garbage":
        index_file(rows).write_bytes(os.urandom(5000))
    elif harm == "lost":
        index_file(rows).unlink()
    else:
        rows.unlink()
    index = _open(rows)
    left = len(rows.read_bytes().splitlines()) if rows.exists() else 0
    assert len(index) == left
    assert (_key(3) in index) == (harm not in ("other", "older"))
    index.close()


def test_rows_of_other_makes_are_read_whole(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    odd = json.loads(_line(3, group='a"b\\c'))
    spaced = json.dumps({**odd, "status": "undecided"}, ensure_ascii=True)
    turned = json.dumps(dict(reversed(list(json.loads(_line(4)).items()))))
    rows.write_text(f"{spaced}\n{turned}\n")
    index = _open(rows)
    assert set(index.keys()) == {group_key(MISSION, "pass", 'a"b\\c'), _key(4)}
    assert index.unsettled == 1
    index.close()


def test_a_row_that_is_none_is_named(rows: Path) -> None:
    with rows.open("ab") as file:
        file.write(_line(1000)[:40] + b"\n" + _line(1001))
    with pytest.raises(RunError, match="line 1001 is not JSON"):
        _open(rows)


def test_nothing_stays_open_where_opening_fails(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    opened: list[sqlite3.Connection] = []

    def remembered(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    rows.write_bytes(b"no row\n")
    with pytest.raises(RunError, match="line 1 is not JSON"):
        _open(rows)
    assert opened
    for db in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")


def test_a_look_leaves_nothing_behind(rows: Path) -> None:
    RowIndex(rows, key_of, temporary=True).close()
    assert [path.name for path in rows.parent.iterdir()] == [rows.name]
