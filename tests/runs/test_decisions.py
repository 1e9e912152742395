"""Decisions: all versions are kept, and none overwrites another."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shenhe.errors import ConflictError, RunError
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.outcomes import read_corrected_labels, read_decided_labels
from shenhe.rows.photo_inputs import read_photo_inputs
from shenhe.values import FAIL, PASS, group_key
from tests.promise.runs import decide, verdict_row, write_lines, write_run
from tests.team.stores import Open, open_decisions

__all__ = ["open_decisions"]
Make = Callable[..., Decision]


def decision(
    key: str = "g1", version: int = 1, choice: str = "不通过", who: str = "李工"
) -> Decision:
    opinion = {"choice": choice, "comment": "看不清", "lines": {"图片_1": "无关图片"}}
    return Decision(
        key=key,
        group_id=key,
        mission="挡风板安装检查",
        label=None,
        verdict="通过",
        version=version,
        opinion=Opinion.model_validate(opinion),
        reviewer=who,
        at="2026-11-20T09:00:00.000000Z",
    )


ROW = (
    '{"number":1,"key":"g1","group_id":"g1","mission":"挡风板安装检查","label":null,'
    '"verdict":"通过","version":1,"said":{"choice":"不通过","comment":"看不清","fault":"",'
    '"lines":{"图片_1":"无关图片"},"descs":{}},"reviewer":"李工",'
    '"at":"2026-11-20T09:00:00.000000Z","undoes":null,"inputs":"a.b"}'
)
"""A decision as it is exported, and as earlier versions exported it."""


def test_a_row_keeps_the_keys_of_earlier_versions() -> None:
    whole = decision().model_copy(update={"number": 1, "inputs": "a.b"})
    said = '"descs":{},"label_wrong":false,"faults":[],"shapes":{}'
    added = ROW.replace('"descs":{}', said)[:-1] + ',"audit":null}'
    assert whole.to_json() == added
    assert Decision.model_validate_json(ROW) == whole
    earlier = Opinion.model_validate_json('{"choice":"不通过","fault":"生锈"}')
    assert earlier == Opinion(choice="不通过", faults=("生锈",))
    both = Opinion(choice="不通过", faults=("生锈", "露铜", "", "生锈"))
    assert (both.faults, both.fault) == (("生锈", "露铜"), "生锈，露铜")
    assert Opinion.model_validate_json(both.to_json()) == both
    assert '"said":null' in whole.model_copy(update={"opinion": None}).to_json()


def test_versions_are_kept_and_none_is_written_twice(tmp_path: Path, open_decisions: Open) -> None:
    decisions = open_decisions(tmp_path)
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
    assert [version.version for version in decisions.history("g1")] == [2, 1]
    assert list(open_decisions(tmp_path).all_current()) == [second]


def test_undo_goes_back_step_by_step(tmp_path: Path, open_decisions: Open) -> None:
    decisions = open_decisions(tmp_path)
    decisions.add(decision("g1"))
    decisions.add(decision("g1", 2, "待定"))
    decisions.add(decision("g2"))
    undone = decisions.undo("李工")
    assert undone is not None
    assert (undone.key, undone.opinion, undone.undoes, undone.version) == ("g2", None, 3, 2)
    undone = decisions.undo("李工")
    assert undone is not None
    assert undone.opinion is not None
    assert (undone.key, undone.opinion.choice, undone.version) == ("g1", "不通过", 3)
    assert [decision.key for decision in decisions.all_current()] == ["g1"]
    undone = decisions.undo("李工")
    assert undone is not None
    assert (undone.key, undone.opinion, undone.undoes, undone.version) == ("g1", None, 1, 4)
    assert decisions.undo("李工") is None
    assert list(decisions.all_current()) == []
    decisions.add(decision("g1", 5))
    # A group whose decision was taken back is open again; versions continue from the last.
    decisions.add(decision("g2", 3))
    assert len(decisions.trail()) == 8
    assert decisions.undo("王工") is None


def test_what_somebody_else_said_since_is_not_undone(tmp_path: Path, open_decisions: Open) -> None:
    decisions = open_decisions(tmp_path)
    decisions.add(decision("g1", who="李工"))
    second = decisions.add(decision("g1", 2, "待定", who="王工"))
    with pytest.raises(ConflictError):
        decisions.undo("李工")
    assert decisions.current("g1") == second


def test_of_many_at_once_one_writes_each_version(tmp_path: Path, open_decisions: Open) -> None:
    open_decisions(tmp_path)
    written: list[Decision] = []
    refused: list[ConflictError] = []

    def work(who: str) -> None:
        decisions = open_decisions(tmp_path)
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
    assert list(open_decisions(tmp_path).all_current()) == sorted(
        written, key=lambda decision: decision.number
    )


def test_the_trail_in_pages(tmp_path: Path, open_decisions: Open) -> None:
    decisions = open_decisions(tmp_path)
    for number in range(5):
        decisions.add(decision(f"g{number}"))
    assert [decision.key for decision in decisions.trail(count=2)] == ["g4", "g3"]
    assert [decision.key for decision in decisions.trail(before=4, count=2)] == ["g2", "g1"]


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


LAYOUT_1 = """
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, group_id TEXT NOT NULL, mission TEXT NOT NULL, label TEXT, verdict TEXT,
    version INTEGER NOT NULL, said TEXT, reviewer TEXT NOT NULL, at TEXT NOT NULL, undoes INTEGER,
    UNIQUE (key, version)
);
CREATE INDEX by_reviewer ON decisions (reviewer, number);
CREATE INDEX undone ON decisions (undoes) WHERE undoes IS NOT NULL;
CREATE TABLE current (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, choice TEXT, overrules INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO decisions VALUES (1, 'g1', 'g1', '挡风板安装检查', NULL, '通过', 1,
    '{"choice":"不通过","comment":"看不清","fault":"","lines":{"图片_1":"无关图片"},"descs":{}}',
    '李工', '2026-11-20T09:00:00.000000Z', NULL);
INSERT INTO current VALUES ('g1', 1, '不通过', 1);
PRAGMA user_version = 1;
"""
"""Files of earlier versions."""


LAYOUT_2 = LAYOUT_1.replace("undoes INTEGER,", "undoes INTEGER, inputs TEXT,").replace(
    "00Z', NULL);", "00Z', NULL, 'a.b');"
)
LAYOUTS = {1: LAYOUT_1, 2: LAYOUT_2.replace("user_version = 1", "user_version = 2")}


def write_earlier(run_dir: Path, layout: int) -> Path:
    path = decisions_file(run_dir)
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(LAYOUTS[layout])
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_earlier_file_keeps_its_decisions_and_takes_new_ones(
    tmp_path: Path, layout: int
) -> None:
    write_earlier(tmp_path, layout)
    inputs = {1: None, 2: "a.b"}[layout]
    older = decision().model_copy(update={"number": 1, "inputs": inputs})
    decisions = Decisions(tmp_path)
    known = {"g1": "a.b"}
    assert list(decisions.all_current(known)) == decisions.history("g1") == [older]
    assert [blind.decision for blind in decisions.audited(known)] == []
    newer = decision("g1", 2, "通过").model_copy(update={"inputs": "a.b", "audit": 0.25})
    newer = decisions.add(newer)
    assert list(Decisions(tmp_path).all_current(known)) == [newer]
    assert [blind.decision for blind in Decisions(tmp_path).audited(known)] == [newer]
    undone = decisions.undo("李工")
    assert undone is not None
    assert (undone.opinion, undone.inputs, undone.version) == (older.opinion, inputs, 3)
    assert [decision.inputs for decision in decisions.trail()] == [inputs, "a.b", inputs]
    assert [decision.audit for decision in decisions.trail()] == [None, 0.25, None]
    assert [blind.decision for blind in decisions.audited(known)] == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_who_open_an_earlier_file_at_once(tmp_path: Path, layout: int) -> None:
    write_earlier(tmp_path, layout)
    opened: list[Decisions] = []
    threads = [
        threading.Thread(target=lambda: opened.append(Decisions(tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8
    assert [decision.key for decision in opened[0].all_current({})] == ["g1"]


def test_what_was_said_blind_counts_whatever_follows(tmp_path: Path, open_decisions: Open) -> None:
    decisions = open_decisions(tmp_path)

    def add(key: str, version: int, audit: float | None, **changes: object) -> Decision:
        row = decision(key, version, who="李工" if audit else "王工")
        return decisions.add(row.model_copy(update={"audit": audit, **changes}))

    first = add("g1", 1, 0.1)
    add("g1", 2, None)
    add("g2", 1, None)
    add("g3", 1, 0.1, inputs="before")
    add("g4", 1, 0.1, opinion=Opinion(choice="待定"))
    second = add("g5", 1, 0.1, inputs="now")
    again = add("g4", 2, 0.2)
    assert [blind.decision for blind in decisions.audited({"g3": "now", "g5": "now"})] == [
        first,
        second,
        again,
    ]
    # Taking back an open decision copies the blind one before it, which is counted once.
    assert decisions.undo("王工").undoes == 3  # type: ignore[union-attr]
    assert decisions.undo("王工").audit == 0.1  # type: ignore[union-attr]
    assert [blind.decision for blind in decisions.audited({})] == [
        first,
        decisions.history("g3")[0],
        second,
        again,
    ]
    # Taking back a blind one leaves the one before it.
    decisions.undo("李工")
    assert [d.version for d, _ in decisions.audited({}) if d.key == "g4"] == [1]


def test_what_holds_again_is_signed_by_whoever_made_it(
    tmp_path: Path, open_decisions: Open
) -> None:
    decisions = open_decisions(tmp_path)
    first = decisions.add(decision("g1", 1, "不通过", who="李工"))
    decisions.add(decision("g1", 2, "通过", who="王工"))
    decisions.add(decision("g1", 3, "待定", who="张工"))
    assert decisions.undo("张工") is not None
    (standing,) = decisions.all_current()
    assert (standing.reviewer, standing.opinion and standing.opinion.choice) == ("王工", "通过")
    undone = decisions.undo("王工")
    assert undone is not None
    assert undone.reviewer == "王工"  # the trail says who acted
    (standing,) = decisions.all_current()
    assert (standing.reviewer, standing.at, standing.opinion) == ("李工", first.at, first.opinion)
    assert standing.number == undone.number


def test_a_decision_of_ones_own_is_taken_back_by_its_number(
    tmp_path: Path, open_decisions: Open
) -> None:
    decisions = open_decisions(tmp_path)
    for each in (decision("g1"), decision("g2"), decision("g3", who="王工"), decision("g1", 2)):
        decisions.add(each)

    def own() -> list[tuple[int, bool]]:
        return [(each.decision.number, each.is_last) for each in decisions.last_of("李工", 10)]

    assert own() == [(4, True), (2, True), (1, False)]
    assert decisions.undo("李工", 3) is None  # somebody else's
    assert decisions.undo("李工", 99) is None
    with pytest.raises(ConflictError):
        decisions.undo("李工", 1)
    undone = decisions.undo("李工", 2)
    assert undone is not None
    assert (undone.key, undone.undoes, undone.opinion) == ("g2", 2, None)
    assert decisions.undo("李工", 2) is None
    assert own() == [(4, True), (1, False)]
    decisions.add(decision("g1", 3, who="王工"))
    assert own() == [(4, False), (1, False)]
    with pytest.raises(ConflictError):
        decisions.undo("李工", 4)
    assert [each.number for each in decisions.last_on("挡风板安装检查", "2026-11-20T10", 2)] == [
        6,
        4,
    ]
    assert decisions.last_on("挡风板安装检查", "2026-11-20T09", 2) == []


def _moved_run(folder: Path, label: str | None, photos: str = "1.jpg:1:x") -> tuple[Path, str]:
    """A run of one group under a label, with the fingerprint of its photos, and its key."""
    row = verdict_row(5, label)
    run = write_run(folder, [row], {str(row["group_id"]): ["/photos/1.jpg"]})
    (path,) = (run / "stage_a").iterdir()
    summary = json.loads(path.read_text("utf-8"))
    summary["meta"]["inputs_hash"] = photos
    write_lines(path, [summary])
    (key,) = read_photo_inputs(run)
    return run, key


@pytest.mark.parametrize(
    ("before", "after"), [(None, "pass"), (None, "fail"), ("pass", "fail"), ("fail", None)]
)
def test_a_decision_follows_its_group_to_another_label(
    tmp_path: Path, before: str | None, after: str | None
) -> None:
    run, key = _moved_run(tmp_path, before)
    row = verdict_row(5, before)
    decide(run, row, FAIL, label_wrong=before == "pass")
    with sqlite3.connect(decisions_file(run)) as db:
        db.execute("UPDATE decisions SET inputs = ?", (read_photo_inputs(run)[key],))
    db.close()
    assert read_decided_labels(run) == {key: "fail"}
    _, moved = _moved_run(tmp_path, after)
    assert moved != key
    assert read_decided_labels(run) == {moved: "fail"}
    assert read_corrected_labels(run) == {}  # that was said of the label that it had
    (decision,) = Decisions(run).all_current()
    assert (decision.label, decision.reviewer) == (after, "李工")
    # Other photos are another matter, and a decision of its own comes before.
    _moved_run(tmp_path, after, "1.jpg:1:y")
    assert moved not in read_decided_labels(run)
    _moved_run(tmp_path, after)
    decide(run, verdict_row(5, after), PASS)
    assert read_decided_labels(run)[moved] == "pass"


def test_of_two_groups_of_one_id_nobody_knows_which_it_has_become(tmp_path: Path) -> None:
    run, key = _moved_run(tmp_path, None)
    decide(run, verdict_row(5, None), FAIL)
    with sqlite3.connect(decisions_file(run)) as db:
        db.execute("UPDATE decisions SET inputs = ?", (read_photo_inputs(run)[key],))
    db.close()
    inputs = read_photo_inputs(run)
    mission, _, group_id = key.split("\x1f")
    two = {group_key(mission, label, group_id): inputs[key] for label in ("pass", "fail")}
    assert [each.key for each in Decisions(run).all_current(two)] == [key]
