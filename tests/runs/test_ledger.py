"""Rows that survive."""

from __future__ import annotations

import json
import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import OutputBusyError, RunError
from shenhe.row_types import Failure
from shenhe.rows.ledger import Ledger, OutputLock, read_rows, rewrite, set_aside
from shenhe.rows.torn import drop_torn_end


def _row(item: str) -> Failure:
    return Failure(
        item=item, group_id="g", mission="m", label=None, code="c", message="", timestamp="t"
    )


def test_append_and_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.jsonl")
    ledger.append(_row("1"), _row("图片\n2"))
    ledger.close()
    assert [row["item"] for row in read_rows(tmp_path / "a.jsonl")] == ["1", "图片\n2"]


@given(st.lists(st.text(max_size=8), max_size=5), st.integers(0, 400))
def test_a_torn_end_is_dropped_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, items: list[str], cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "a.jsonl"
    text = "".join(json.dumps({"item": item}) + "\n" for item in items).encode()
    path.write_bytes(text[: min(cut, len(text))])
    whole = text[: min(cut, len(text))].rfind(b"\n") + 1
    drop_torn_end(path)
    assert path.read_bytes() == text[:whole]


@pytest.mark.parametrize("torn", [b'{"a": 1', b"\0\0\0\0\n", b'{"a": \n', b"x" * 200_000])
def test_kinds_of_torn_ends(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"item": 1}\n' + torn)
    drop_torn_end(path)
    assert path.read_bytes() == b'{"item": 1}\n'


def test_damage_in_the_middle_is_no_torn_end(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(RunError, match="line 2 is not JSON"):
        list(read_rows(tmp_path / "a.jsonl"))
    (tmp_path / "a.jsonl").write_text("[1]\n")
    with pytest.raises(RunError, match="line 1 is not a JSON object"):
        list(read_rows(tmp_path / "a.jsonl"))


def test_rewrite_keeps_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n":1}\n{"n":2}\n{"n":3}\n')
    rewrite(path, lambda row: row["n"] != 2)
    assert path.read_text() == '{"n":1}\n{"n":3}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_set_aside_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("x")
    set_aside(tmp_path / "a.jsonl", tmp_path / "absent")
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("a.jsonl.before-")
    assert kept.read_text() == "x"


def _hold(path: Path, held: Event, release: Event) -> None:
    with OutputLock(path):
        held.set()
        release.wait(30)


def test_two_processes_refuse_each_other_and_the_dead_lets_go(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path, held, release = tmp_path / "a.jsonl", context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, held, release))
    other.start()
    assert held.wait(60)
    with pytest.raises(OutputBusyError, match="another shenhe"), OutputLock(path):
        pass
    other.kill()
    other.join()
    with OutputLock(path):
        pass


def test_a_full_disk_is_told() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    ledger = Ledger.__new__(Ledger)
    ledger.path, ledger._file = full, full.open("ab")
    with pytest.raises(RunError, match="No space left"):
        ledger.append(_row("1"))
    ledger.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match="cannot be written"),
        OutputLock(tmp_path / "file" / "a.jsonl"),
    ):
        pass
