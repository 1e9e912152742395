"""A group with several verdict rows: the one to act upon, in sheets and in review, and told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from shenhe.report.choice import SheetChoice
from shenhe.report.reading import SheetReading
from shenhe.review import Index
from shenhe.review.index import Filters
from shenhe.values import Ruling
from tests.review.runs import FAIL, PASS, Group, write_run

BRACKETS = "BBU安装方式检查（正装）"


def _groups(*verdicts: Ruling | None) -> list[Group]:
    return [Group(f"g{n}", verdict, mission=BRACKETS) for n, verdict in enumerate(verdicts, 1)]


NOW, BEFORE = _groups(FAIL, PASS, None, PASS), _groups(PASS, PASS, FAIL, None)
SAFEST = {"g1": FAIL, "g2": PASS, "g3": FAIL, "g4": None}
TOLD = "4 further rows of groups that have one already"


def _write(folder: Path, groups: Sequence[Group]) -> Path:
    run = write_run(folder, groups, [folder / "1.jpg"])
    (path,) = (run / "stage_b").iterdir()
    return path


@pytest.fixture(
    params=[
        *("old.jsonl", "AAA.jsonl", "appended", "put before", "a further shard"),
        "with other brackets",
    ]
)
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A run in whose folder rows of an earlier one lie, in some way."""
    now, before = _write(tmp_path / "out", NOW), _write(tmp_path / "before", BEFORE)
    how: str = request.param
    if how == "appended":
        now.write_text(now.read_text("utf-8") + before.read_text("utf-8"), "utf-8")
    elif how == "put before":
        now.write_text(before.read_text("utf-8") + now.read_text("utf-8"), "utf-8")
    elif how == "with other brackets":
        text = before.read_text("utf-8").replace("（正装）", "(正装)")
        now.with_name("old.jsonl").write_text(text, "utf-8")
    else:
        name = f"{now.stem}.0002.jsonl" if how == "a further shard" else how
        before.rename(now.with_name(name))
    return tmp_path / "out"


def test_a_sheet_has_a_group_once_and_passes_only_what_all_rows_pass(run: Path) -> None:
    reading = SheetReading(run)
    with pytest.warns(UserWarning, match=TOLD):
        groups = [*reading.groups()]
    assert {group.row.group_id: group.final for group in groups} == SAFEST
    assert len(groups) == reading.whole.groups == len(SAFEST)
    assert reading.whole.final[PASS] == 1


def test_a_work_order_has_that_row_too(run: Path) -> None:
    reading = SheetReading(run, SheetChoice(groups=("g1", "g4")))
    with pytest.warns(UserWarning, match=TOLD):
        groups = [*reading.groups()]
    assert {group.row.group_id: group.final for group in groups} == {"g1": FAIL, "g4": None}


def test_review_shows_that_row(run: Path) -> None:
    with pytest.warns(UserWarning, match=TOLD):
        index = Index(run)
    entries = index.page(Filters())
    assert {entry.group_id: entry.verdict for entry in entries} == SAFEST
    for entry in entries:  # the page reads the row itself
        rows = index.group(entry.number)
        assert rows is not None
        assert rows.verdict is not None
        assert rows.verdict.verdict == SAFEST[entry.group_id]


def test_rows_that_all_say_the_same_count_once(tmp_path: Path) -> None:
    path = _write(tmp_path / "out", NOW)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    path.with_name("copy.jsonl").write_text(text, "utf-8")
    with pytest.warns(UserWarning, match=TOLD):
        groups = [*SheetReading(tmp_path / "out").groups()]
    assert [(group.row.group_id, group.final) for group in groups] == [
        ("g1", FAIL),
        ("g2", PASS),
        ("g3", None),
        ("g4", PASS),
    ]
