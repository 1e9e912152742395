"""What is on disk is damaged: it mends itself, or one line names the file and says what to do."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

import shenhe.timestamps
from shenhe.config import load_missions, load_prompts
from shenhe.errors import OptionsChangedError, RunError
from shenhe.intake import PhotoTree
from shenhe.messages import Request, RequestFailed
from shenhe.rows.parquet import write_parquet
from shenhe.rows.row_index import index_file
from shenhe.rows.status import read_status
from shenhe.runs import RunCounts, RunOptions, find_stage_a, run_summaries, run_verdicts
from shenhe.runs.fsck import Fault, check_run
from tests.scripted import ScriptedEngine

MISSIONS, PROMPTS = load_missions(), load_prompts()
MISSION = MISSIONS.get("挡风板安装检查")
GROUPS = 6
Make = Callable[..., Path]


LINE = "BBU设备/华为,显示完整,无需安装×1"


class Run:
    """A run of six groups: the photo of g1 fails, the verdicts of three cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.out = folder / "tree", folder / "out"
        self.hook: Callable[[], object] = lambda: None

    def again(self, **how: Any) -> RunCounts:
        """Do what is missing."""
        run = RunOptions(**how)

        def line(request: Request) -> str | RequestFailed:
            self.hook()
            if "\x1fg1\x1f" in request.key:
                return RequestFailed(request.key, "missing", "no such photo", request.attempt)
            return LINE

        engine = ScriptedEngine(line)
        photos, stage_a = PhotoTree(self.tree), self.out / "stage_a"
        run_summaries(
            engine, photos, MISSION, PROMPTS.summary, stage_a, engine_options={"x": 1}, run=run
        )
        return self.judged(**how)

    def judged(self, **how: Any) -> RunCounts:
        """Do Stage-B alone."""
        (source,) = find_stage_a(self.out / "stage_a", MISSIONS)
        engine = ScriptedEngine(
            lambda request: "也许" if request.key[-1] in "234" else "通过\n理由: 图片_1符合要求"
        )
        stage_b, run = self.out / "stage_b", RunOptions(**how)
        return run_verdicts(
            engine, source, PROMPTS.verdict, stage_b, engine_options={"x": 1}, run=run
        )

    def path(self, stage: str, ending: str = ".jsonl") -> Path:
        return self.out / stage / f"{MISSION.name}{ending}"

    def told(self) -> dict[str, list[Any]]:
        """What all files tell, without times: of failures the group and the code."""
        files: dict[str, list[Any]] = {}
        for path in sorted(self.out.glob("stage_*/*.jsonl")):
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            names = ("group_id", "code", "verdict", "status", "per_image")
            files[f"{path.parent.name}/{path.name}"] = sorted(
                [str(row.get(name)) for name in names] for row in rows
            )
        return files

    def fsck(self, *, repair: bool = True) -> list[Fault]:
        return list(check_run(self.out, MISSIONS, repair=repair))


@pytest.fixture
def run(make_group: Make, tmp_path: Path) -> Run:
    for number in range(GROUPS):
        make_group(f"g{number}", "1.jpg", label="审核通过")
    run = Run(tmp_path)
    run.again()
    return run


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def _sql(*statements: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            for statement in statements:
                db.execute(statement)

    return harm


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "somebody's").write_text("file")


def _locked(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    return db


INDEX_HARMS: dict[str, Callable[[Path], object]] = {
    "torn": _cut,
    "torn in its first page": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "zeros behind its header": lambda p: p.write_bytes(p.read_bytes()[:4096] + bytes(8192)),
    "garbage": lambda path: path.write_bytes(os.urandom(20_000)),
    "a garbage journal": lambda p: p.with_name(f"{p.name}-journal").write_bytes(os.urandom(4096)),
    "another schema": _sql(
        "DROP TABLE rows", "CREATE TABLE rows (a)", "INSERT INTO rows VALUES (1)"
    ),
    "no place": _sql("DELETE FROM seen"),
    "words for numbers": _sql("UPDATE seen SET shard = 'first', offset = 'end'"),
    "a place past all": _sql("UPDATE seen SET offset = 4611686018427387904"),
    "a place before all": _sql("UPDATE seen SET offset = -5"),
    "no settled": _sql("UPDATE rows SET settled = NULL"),
    "words for settled": _sql("UPDATE rows SET settled = 'yes'"),
    "blobs for keys": _sql("UPDATE rows SET key = CAST(key AS BLOB)"),
    "too many": _sql("INSERT INTO rows VALUES ('x', 1, NULL)"),
    "too few": _sql("DELETE FROM rows WHERE key = (SELECT max(key) FROM rows)"),
    "a later layout": _sql("PRAGMA user_version = 99"),
    "a folder": _folder,
    "locked": _locked,
}


@pytest.mark.parametrize("harm", INDEX_HARMS)
def test_an_index_is_made_anew_whatever_is_wrong_with_it(harm: str, run: Run) -> None:
    before = run.told()
    holders = [INDEX_HARMS[harm](index_file(run.path(stage))) for stage in ("stage_a", "stage_b")]
    run.path("stage_b").write_bytes(b"".join(_lines(run.path("stage_b"))[:-2]))
    counts = run.again()
    assert (counts.already, counts.done) == (4, 2)
    assert run.told() == before
    for holder in holders:
        if isinstance(holder, sqlite3.Connection):
            holder.close()
    if harm == "a folder":
        assert list(run.out.glob("stage_a/.*.before-*/somebody's"))
    assert not run.fsck()


def test_an_index_of_other_rows_is_no_index_of_these(run: Run) -> None:
    before = run.told()
    shutil.copy(index_file(run.path("stage_a")), index_file(run.path("stage_b")))
    run.path("stage_b").write_bytes(b"".join(_lines(run.path("stage_b"))[1:]))
    assert run.again().done == 1
    assert run.told() == before


def test_an_index_that_breaks_while_a_run_goes_on(run: Run) -> None:
    before = run.told()
    run.path("stage_b").write_bytes(b"")
    shutil.rmtree(run.out / "stage_a")
    index = index_file(run.path("stage_a"))

    def harm() -> None:
        if index.exists():
            index.write_bytes(os.urandom(8192))

    run.hook = harm
    run.again()
    assert run.told() == before


# --- the clock ---


@pytest.mark.parametrize("step", [-5.0, 3600.0, -86400.0])
def test_a_clock_that_steps_loses_and_doubles_nothing(
    step: float, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = run.told()
    for path in (run.out / "stage_a", run.out / "stage_b"):
        shutil.rmtree(path)
    shift = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp((datetime.now(tz) + shift).timestamp(), tz)

    def steps() -> None:
        nonlocal shift
        shift += timedelta(seconds=step)

    monkeypatch.setattr(shenhe.timestamps, "datetime", Clock)
    run.hook = steps
    run.again(limit=2)
    run.again()
    assert run.told() == steady
    run.again()
    assert run.told() == steady
    assert all(status.silent_seconds >= 0 for status in read_status(run.out))


def test_failures_of_earlier_makes_that_name_no_session_are_read(run: Run) -> None:
    path, before = run.path("stage_a", ".failures.jsonl"), run.told()
    row = json.loads(path.read_text("utf-8"))
    assert row.pop("session") is None  # what a run that ended left is the last word of all
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    run.again()
    assert run.told() == before


# --- rows, failures, manifests ---

LINE_HARMS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a list": lambda rows: [rows[0], b"[1, 2]\n", *rows[1:]],
    "half a line": lambda rows: [rows[0], rows[1][:70] + b"\n", *rows[2:]],
    "half a line, then the next": lambda rows: [rows[0][:70], *rows[1:]],
    "two rows in a line": lambda rows: [rows[0].rstrip() + rows[1], *rows[2:]],
    "not UTF-8": lambda rows: [rows[0].replace(b'"mission":"', b'"mission":"\xb9\xd2'), *rows[1:]],
    "numbers for texts": lambda r: [r[0].replace(b'"label":"pass"', b'"label":7'), *r[1:]],
    "a key too few": lambda rows: [rows[0].replace(b'"mission"', b'"m"'), *rows[1:]],
    "nested too deep": lambda rows: [b"[" * 100_000 + b"\n", *rows],
}


@pytest.mark.parametrize("harm", LINE_HARMS)
@pytest.mark.parametrize("ending", [".jsonl", ".failures.jsonl"])
def test_a_line_that_is_none_is_named_and_set_aside(harm: str, ending: str, run: Run) -> None:
    before = run.told()
    path = run.path("stage_b", ending)
    lines = path.read_bytes().splitlines(keepends=True)
    harmed = LINE_HARMS[harm](lines)
    if harmed == lines:
        pytest.skip("there is nothing of the kind in it")
    path.write_bytes(b"".join(harmed))
    with pytest.raises(RunError, match=r"line \d .*shenhe fsck") as error:
        run.judged()
    assert str(path) in str(error.value)
    assert path.read_bytes() == b"".join(harmed)
    looked = run.fsck(repair=False)
    assert path.read_bytes() == b"".join(harmed)
    faults = run.fsck()
    mended = [fault for fault in faults if fault.mendable]  # what is left is another run's to do
    assert [(fault.path, fault.line) for fault in looked] == [
        (fault.path, fault.line) for fault in mended
    ]
    (damaged,) = {
        fault.path for fault in faults if "set aside" in fault.done or "damaged-" in fault.done
    }
    assert damaged == path
    aside = b"".join(p.read_bytes() for p in path.parent.glob(f"{path.name}.damaged-*"))
    assert all(line in aside or line in path.read_bytes() for line in harmed)
    run.judged()
    assert run.told() == before
    assert not run.fsck()


@pytest.mark.parametrize("ending", [".jsonl", ".failures.jsonl"])
@pytest.mark.parametrize("tail", [bytes(4096), b'{"group_id":"g9","miss', b"\n\xff\xfe"])
def test_a_tail_that_a_power_cut_left(tail: bytes, ending: str, run: Run) -> None:
    before = run.told()
    path = run.path("stage_b", ending)
    whole = path.read_bytes()
    path.write_bytes(whole + tail.lstrip())
    run.judged()
    assert run.told() == before
    path.write_bytes(path.read_bytes() + tail.lstrip())
    (fault,) = run.fsck()
    assert fault.mendable
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == tail.lstrip()


@pytest.mark.parametrize("ending", [".jsonl", ".failures.jsonl"])
def test_zeros_in_the_middle_are_set_aside_and_told(ending: str, run: Run) -> None:
    before = run.told()
    path = run.path("stage_b", ending)
    data = path.read_bytes()
    middle = data.index(b"\n") - 30
    path.write_bytes(data[:middle] + bytes(60) + data[middle + 60 :])
    index_file(run.path("stage_b")).unlink()  # it has not seen them, as after a power cut
    with pytest.warns(UserWarning, match="as a power cut leaves them"):
        run.judged()
    assert run.told() == before


def test_marks_of_editors_are_no_damage(run: Run) -> None:
    before = run.told()
    for path in run.out.glob("stage_*/*.json*"):
        text = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text)
    counts = run.again()
    assert (counts.already, counts.done) == (GROUPS, 0)
    assert not [fault for fault in run.fsck() if not fault.mendable]
    assert {name: len(rows) for name, rows in before.items()} == {
        name: len(json_lines(run.out / name)) for name in before
    }


def json_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8-sig").splitlines()]


@pytest.mark.parametrize("ending", [".jsonl", ".failures.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_told(ending: str, run: Run) -> None:
    path = run.path("stage_b", ending)
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match=f"{path.name}: .*a folder stands in its place: move it"):
        run.judged()


def test_failures_that_are_lost_are_told_again(run: Run) -> None:
    before = run.told()
    for harm in (lambda path: path.write_bytes(b""), Path.unlink):
        harm(run.path("stage_b", ".failures.jsonl"))
        run.judged()
        assert run.told() == before
    run.path("stage_b", ".failures.jsonl").write_bytes(b"")
    faults = run.fsck()
    assert {fault.what for fault in faults} == {"undecided, and no failure says why"}
    assert run.told() == before
    # Those of Stage-A are in no row: they cannot be told again without asking again.
    run.path("stage_a", ".failures.jsonl").write_bytes(b"")
    left = [fault for fault in run.fsck() if not fault.mendable]
    assert any("says that 1 groups failed; the failures tell of 0" in fault.what for fault in left)


MANIFESTS = ["", "[]", '{"options": []}', "{", '"x"', "\0\0\0", "[" * 100_000, "null", "\udcff"]


@pytest.mark.parametrize("content", MANIFESTS)
def test_a_manifest_that_is_none(content: str, run: Run) -> None:
    before, path = run.told(), run.path("stage_b", ".manifest.json")
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    for read in (run.judged, lambda: read_status(run.out)):
        with pytest.raises(RunError, match=r"cannot be read: .*shenhe fsck") as error:
            read()
        assert str(path) in str(error.value)
    (fault,) = run.fsck()
    assert (fault.path, fault.mendable) == (path, True)
    (aside,) = path.parent.glob("*.manifest.json.before-*")
    assert aside.read_bytes() == content.encode("utf-8", "surrogateescape")
    assert read_status(run.out)[1].done == GROUPS
    run.judged()
    assert run.told() == before
    assert json.loads(path.read_text("utf-8"))["options"]["x"] == 1
    assert not run.fsck()


@pytest.mark.parametrize("name", ["counts", "this_session", "state"])
@pytest.mark.parametrize("value", [None, [], "x", {"done": float("inf")}, {"done": "many"}])
def test_a_manifest_with_cells_of_other_types(name: str, value: object, run: Run) -> None:
    path = run.path("stage_b", ".manifest.json")
    content = json.loads(path.read_text("utf-8")) | {name: value}
    path.write_text(json.dumps(content), "utf-8")
    if name != "state":
        with pytest.raises(RunError, match="no manifest of shenhe's"):
            read_status(run.out)
        assert [fault.mendable for fault in run.fsck()] == [True]
    assert read_status(run.out)


def test_without_a_manifest_rows_tell_what_they_were_made_with(run: Run) -> None:
    before, path = run.told(), run.path("stage_a", ".manifest.json")
    path.unlink()
    run.again()
    assert run.told() == before
    path.unlink()
    rows = run.path("stage_a")
    rows.write_text(rows.read_text("utf-8").replace('"scripted"', '"another"'), "utf-8")
    with pytest.raises(OptionsChangedError, match="checkpoint was 'another', now 'scripted'"):
        run.again()


def test_parquet_that_is_torn_is_written_again(run: Run) -> None:
    rows = run.path("stage_b")
    (target,) = write_parquet(rows)
    whole = target.read_bytes()
    for content in (b"", whole[:-20], bytes(len(whole)), b"{}"):
        target.write_bytes(content)
        assert write_parquet(rows) == [target]
        assert not write_parquet(rows)
    target.write_bytes(whole[:100])
    (fault,) = run.fsck()
    assert fault.path == target
    assert not write_parquet(rows)


# --- fsck ---


def test_a_group_that_stands_twice_is_told_and_the_last_counts(run: Run) -> None:
    rows, before = run.path("stage_b"), run.told()
    first, *later = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(first.replace(b'"raw":"', b'"raw":"x') + b"".join(later) + first)
    twice = [fault for fault in run.fsck() if "stands again" in fault.what]
    assert [(fault.path, fault.line) for fault in twice] == [(rows, 1)]
    assert run.told() == before


def test_of_stage_a_rows_with_other_lines_none_is_chosen(run: Run) -> None:
    rows = run.path("stage_a")
    first, *later = rows.read_bytes().splitlines(keepends=True)
    contradicting = first.replace(LINE.encode(), "标签/可以识别×1".encode())
    rows.write_bytes(contradicting + first + first + b"".join(later))
    run.again()
    assert "duplicate_group" in run.path("stage_b").read_text("utf-8")
    twice = [fault for fault in run.fsck() if "stands again" in fault.what]
    assert [(fault.line, fault.mendable) for fault in twice] == [(1, False), (2, True)]
    assert rows.read_bytes() == contradicting + first + b"".join(later)
    run.again()
    assert "duplicate_group" in run.path("stage_b").read_text("utf-8")


def test_a_last_row_without_its_line_end_is_given_one(run: Run) -> None:
    rows = run.path("stage_a")
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-1])
    assert [fault.what for fault in run.fsck(repair=False)] == ["its last row has no line end"]
    assert rows.read_bytes() == whole[:-1]
    assert [fault.path for fault in run.fsck()] == [rows]
    assert rows.read_bytes() == whole
    assert not run.fsck()


def test_leftovers_are_set_aside(run: Run) -> None:
    leftovers = [run.path("stage_b", ending) for ending in (".manifest.new", ".rewriting", ".new")]
    for path in leftovers:
        path.write_text("half")
    assert {fault.path for fault in run.fsck()} == set(leftovers)
    assert len(list(run.out.glob("stage_b/*.before-*"))) == 3
    assert not run.fsck()


def test_verdicts_on_other_lines_are_told_and_left(run: Run) -> None:
    rows = run.path("stage_a")
    rows.write_text(
        rows.read_text("utf-8").replace(LINE, "标签/可以识别×1", 1),
        "utf-8",
    )
    (fault,) = [fault for fault in run.fsck() if not fault.mendable]
    assert "1 groups have no verdict on the lines" in fault.what
    run.again()
    assert not run.fsck()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing of shenhe's there"):
        list(check_run(tmp_path, MISSIONS))
