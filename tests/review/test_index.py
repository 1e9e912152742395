"""The queue: its order by need, its filters and its search."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shenhe.errors import RunError
from shenhe.review.index import Filters, Index
from shenhe.rows.decision_rows import Decision, Opinion
from tests.review.runs import FAIL, PASS, Group, write_captions, write_run

GROUPS = [
    Group("sure", p_pass=0.999, label="pass"),
    Group("unsure", p_pass=0.55),
    Group("unsure-fail", FAIL, p_pass=0.4, reason="图片_2螺丝未拧紧"),
    Group("escaped", PASS, label="fail", p_pass=0.9, mission="BBU接地线检查"),
    Group("unread", None, p_pass=None, reason="empty: the verdict is empty"),
    Group("unknown", PASS, p_pass=None),
]


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path / "run", GROUPS, demo_photos[:2])


def _ids(index: Index, filters: Filters, after: int = 0) -> list[str]:
    return [entry.group_id for entry in index.page(filters, after)]


def _decide(index: Index, group_id: str, choice: str) -> None:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == group_id)
    opinion = Opinion.model_validate({"choice": choice})
    index.decisions.add(Decision.on(entry, opinion, "李工"))


def test_the_order_is_that_of_need(run_dir: Path) -> None:
    index = Index(run_dir)
    order = ["unread", "escaped", "unknown", "unsure", "unsure-fail", "sure"]
    assert _ids(index, Filters()) == order
    assert index.missions() == ["BBU接地线检查", "挡风板安装检查"]
    assert _ids(index, Filters(), after=4) == order[4:]
    following = index.following(Filters(), 2)
    assert following is not None
    assert following.group_id == "unknown"
    preceding = index.preceding(Filters(verdict=FAIL), 6)
    assert preceding is not None
    assert preceding.group_id == "unsure-fail"
    assert index.preceding(Filters(), 1) is None


def test_filters(run_dir: Path) -> None:
    index = Index(run_dir)
    _decide(index, "unsure", FAIL)
    _decide(index, "unread", "待定")
    _decide(index, "sure", PASS)
    assert _ids(index, Filters(state="open")) == ["escaped", "unknown", "unsure-fail"]
    assert _ids(index, Filters(state="overruled")) == ["unsure"]
    assert _ids(index, Filters(state="deferred")) == ["unread"]
    assert set(_ids(index, Filters(state="decided"))) == {"unread", "unsure", "sure"}
    assert _ids(index, Filters(verdict="undecided")) == ["unread"]
    assert _ids(index, Filters(against=True)) == ["escaped"]
    assert _ids(index, Filters(mission="BBU接地线检查")) == ["escaped"]
    assert index.progress(Filters()) == (6, 3, 1)
    assert index.count_matching(Filters(state="decided", text="unsure")) == 1


def test_decisions_of_earlier_versions_overrule_what_had_been_decided_alone(run_dir: Path) -> None:
    index = Index(run_dir)
    _decide(index, "unread", FAIL)
    _decide(index, "sure", FAIL)
    with closing(sqlite3.connect(index.decisions.path)) as db, db:
        db.execute("UPDATE current SET overrules = 1")  # as those versions stored it
    assert index.progress(Filters()) == (6, 2, 1)
    assert index.count_matching(Filters(state="overruled")) == 1
    assert _ids(index, Filters(state="overruled")) == ["sure"]
    assert [entry.group_id for entry in index.page(Filters()) if entry.overrules] == ["sure"]


@pytest.mark.parametrize(
    ("text", "group_ids"),
    [
        ("未拧紧", ["unsure-fail"]),
        ("拧", ["unsure-fail"]),
        ("UNSURE", ["unsure", "unsure-fail"]),
        ("Un", ["unread", "unknown", "unsure", "unsure-fail"]),
        ("BBU安装螺丝/显示完整", ["unread", "escaped", "unknown", "unsure", "unsure-fail", "sure"]),
        ('"', []),
        ("%", []),
        ("AND OR *", []),
    ],
)
def test_search_takes_words_as_they_are(run_dir: Path, text: str, group_ids: list[str]) -> None:
    assert _ids(Index(run_dir), Filters(text=text)) == group_ids


def test_rows_that_change_make_the_index_anew(run_dir: Path, demo_photos: list[Path]) -> None:
    first = Index(run_dir)
    made = first.path.stat().st_mtime_ns
    assert Index(run_dir).path.stat().st_mtime_ns == made
    write_run(run_dir, [*GROUPS, Group("later", None)], demo_photos[:2])
    assert "later" in _ids(Index(run_dir), Filters())
    first.path.write_bytes(b"no database" * 100)
    assert "later" in _ids(Index(run_dir), Filters())


def test_an_index_of_an_earlier_version_is_made_anew(run_dir: Path) -> None:
    first = Index(run_dir)
    with closing(sqlite3.connect(first.path)) as db, db:
        db.executescript(
            "DROP TABLE doubts; DROP TABLE audits; DROP TABLE plans; PRAGMA user_version = 2"
        )
    doubted = Filters(queue="labels")
    assert _ids(Index(run_dir), doubted) == ["escaped"]
    # One that was cut off while it was made is not there under its name.
    first.path.rename(first.path.with_suffix(".new"))
    assert _ids(Index(run_dir), doubted) == ["escaped"]
    assert not first.path.with_suffix(".new").exists()


def test_a_group_with_its_rows(run_dir: Path, demo_photos: list[Path]) -> None:
    write_captions(run_dir, demo_photos[:1])
    index = Index(run_dir)
    group = index.group(2)
    assert group is not None
    assert group.verdict.group_id == group.entry.group_id == "escaped"
    assert group.summary is not None
    assert group.summary.images == [str(photo) for photo in demo_photos[:2]]
    assert list(group.captions) == [str(demo_photos[0])]
    assert index.group(7) is None
    assert index.group_by_key("nothing") is None
    assert index.group_by_key(group.entry.key) == group


def test_what_is_no_run(tmp_path: Path, run_dir: Path) -> None:
    with pytest.raises(RunError, match="no verdicts"):
        Index(tmp_path / "nothing")
    with pytest.raises(RunError, match="no such file"):
        Index(run_dir, [tmp_path / "gone.jsonl"])
    rows = run_dir / "stage_b" / "BBU接地线检查.jsonl"
    rows.write_text('{"group_id": 3}\n', encoding="utf-8")
    with pytest.raises(RunError, match=r"BBU接地线检查.jsonl: line 1"):
        Index(run_dir)
