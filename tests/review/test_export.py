"""Corrections as rows to train from; groups that give no row are left out and counted."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from shenhe.config import load_missions, load_prompts
from shenhe.formats import verdict
from shenhe.review import Index, Prompting
from shenhe.review.export import ExportFile, make_export
from shenhe.review.index import Filters
from shenhe.row_types import Failure
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.values import FAIL, PASS
from tests.conftest import MISSION
from tests.review.runs import LINE, TIME, Group, write_captions, write_run

PROMPTING = Prompting(load_missions(), load_prompts())
BETTER = "螺丝、光纤插头/BBU安装螺丝/显示完整/不符合要求/未拧紧×1"


@pytest.fixture
def index(tmp_path: Path, demo_photos: list[Path]) -> Index:
    groups = [
        Group("overruled"),
        Group("agreed"),
        Group("lines", FAIL, p_pass=0.2),
        Group("silent"),
        Group("deferred"),
        Group("other", mission="别的任务"),
        Group("failed", None, p_pass=None),
    ]
    folder = write_run(tmp_path / "run", groups, demo_photos[:2])
    # Stage-A of one group is not complete: it has photos, but no lines.
    rows = folder / "stage_a" / f"{MISSION}.jsonl"
    kept = [line for line in rows.read_text("utf-8").splitlines() if '"failed"' not in line]
    rows.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    failure = Failure(
        item=str(demo_photos[0]),
        group_id="failed",
        mission=MISSION,
        label=None,
        code="truncated",
        message="damaged",
        timestamp=TIME,
    )
    rows.with_suffix(".failures.jsonl").write_text(failure.to_json() + "\n", encoding="utf-8")
    write_captions(folder, demo_photos[:1])
    return Index(folder)


def _say(index: Index, group_id: str, **fields: object) -> None:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == group_id)
    index.decisions.add(Decision.on(entry, Opinion.model_validate(fields), "李工"))


def _rows(export: ExportFile) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in export.content.decode().splitlines()]
    assert len(rows) == export.rows
    return rows


def test_verdicts_that_were_overruled_are_learnt_in_the_words_of_the_prompt(index: Index) -> None:
    _say(index, "overruled", choice=FAIL, comment="图片_1中螺丝\n未拧紧", faults=("未拧紧",))
    _say(index, "agreed", choice=PASS, comment="看过")
    _say(index, "lines", choice=FAIL, lines={"图片_2": BETTER})
    _say(index, "silent", choice=FAIL)
    _say(index, "deferred", choice="待定", lines={"图片_1": BETTER})
    _say(index, "other", choice=FAIL, comment="错")
    made = make_export("stage_b.jsonl", index, PROMPTING)
    overruled, lines = _rows(made)
    assert overruled["messages"][-1]["content"] == "不通过\n理由: 图片_1中螺丝 未拧紧"
    verdict.parse(overruled["messages"][-1]["content"])
    prompt = overruled["messages"][-2]["content"]
    assert f"图片_1: {LINE}" in prompt
    assert MISSION in prompt
    assert f"图片_2: {BETTER}" in lines["messages"][-2]["content"]
    assert lines["messages"][-1]["content"].startswith("不通过\n理由: 图片_1显示")
    assert dict(made.left_out) == {
        "overruled without a comment or a fault: no reason to learn": 1,
        "待定: no verdict to learn": 1,
        "别的任务: no such mission": 1,
    }
    assert len(_rows(make_export("stage_a.jsonl", index, PROMPTING))) == 2


def test_what_the_model_left_undecided_is_learnt_and_a_pass_with_a_fault_is_not(
    index: Index,
) -> None:
    (failed,) = (entry for entry in index.page(Filters()) if entry.group_id == "failed")
    assert failed.verdict is None
    _say(index, "overruled", choice=FAIL, faults=("未拧紧",))
    _say(index, "lines", choice=PASS, comment="图片_1中螺丝未拧紧")
    _say(index, "agreed", choice=PASS, lines={"图片_1": BETTER})
    assert index.progress(Filters()).overruled == 2
    photos = index.group(failed.number)
    assert photos is not None
    lines = {f"图片_{number}": BETTER for number, _ in enumerate(photos.images, 1)}
    _say(index, "failed", choice=FAIL, comment="图片_1中螺丝未拧紧", lines=lines)
    made = make_export("stage_b.jsonl", index, PROMPTING)
    assert [row["messages"][-1]["content"] for row in _rows(made)] == [
        "不通过\n理由: 未拧紧",
        "不通过\n理由: 图片_1中螺丝未拧紧",
    ]
    assert made.left_out == {"通过 with a fault: no verdict to learn": 2}
    # Deciding a group that the model left undecided overrules nothing.
    assert index.progress(Filters()) == (7, 4, 2)
    overruled = {entry.group_id for entry in index.page(Filters(state="overruled"))}
    assert overruled == {"overruled", "lines"}


def test_lines_that_do_not_show_what_was_decided_on_teach_nothing(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    codes = (("left_out",), ("stage_a_incomplete", "duplicate_group"), ("unsure",))
    groups = [Group(why[-1], None, p_pass=None, why=why) for why in codes]
    index = Index(write_run(tmp_path / "run", groups, demo_photos[:2]))
    for group in groups:
        _say(index, group.group_id, choice=PASS, comment="符合要求")
    made = make_export("stage_b.jsonl", index, PROMPTING)
    assert made.rows == 1
    assert made.left_out == {
        "left_out: the lines do not show what was decided on": 1,
        "duplicate_group: the lines do not show what was decided on": 1,
    }


def test_sheets_say_which_captions_were_corrected(index: Index) -> None:
    box = {"key": "object_1", "kind": "bbox_2d", "points": [[100, 100], [500, 400]]}
    line = {"key": "object_2", "kind": "line", "points": [[10, 10], [700, 800]]}
    added = {"key": "new_1", "kind": "bbox_2d", "points": [[1, 1], [9, 9]], "desc": "电线"}
    renamed, same = box | {"desc": "BBU设备/中兴"}, line | {"desc": "电线/捆扎整齐", "kept": True}
    shapes = {"图片_1": [renamed, same, added], "图片_2": [added]}
    _say(index, "overruled", choice=FAIL, shapes=shapes)
    _say(index, "agreed", choice=PASS, shapes={"图片_1": [same]})
    # What the model had named on the second photo is not there any more.
    _say(
        index,
        "silent",
        choice=FAIL,
        descs={"图片_1": {"object_2": None}, "图片_2": {"object_7": "x"}},
    )
    _say(index, "deferred", choice="待定", shapes={"图片_2": [renamed]})
    _say(index, "lines", choice=FAIL, lines={"图片_1": BETTER})
    text = make_export("decisions.csv", index, PROMPTING).content.decode("utf-8-sig")
    names = ("group_id", "corrected_photos", "corrected_objects")
    rows = [tuple(row[name] for name in names) for row in csv.DictReader(io.StringIO(text))]
    assert rows == [
        ("overruled", "图片_1; 图片_2", "3"),
        ("agreed", "图片_1", "1"),
        ("silent", "图片_1; 图片_2", "2"),
        ("deferred", "图片_2", ""),
        ("lines", "", "0"),
    ]
    book = load_workbook(io.BytesIO(make_export("decisions.xlsx", index, PROMPTING).content))
    head, first, *_ = book.active.iter_rows(values_only=True)
    cells = dict(zip(head, first, strict=True))
    assert tuple(cells[name] for name in names) == rows[0]
    assert head[-1] == "extra"


def test_lines_that_stage_a_never_wrote(index: Index, demo_photos: list[Path]) -> None:
    group = index.group(1)
    assert group is not None
    assert group.entry.group_id == "failed"
    assert str(demo_photos[0]) in group.images
    assert len(group.images) > 1
    _say(index, "failed", choice=FAIL, comment="图片_1中螺丝未拧紧", lines={"图片_1": BETTER})
    (row,) = _rows(make_export("stage_a.jsonl", index, PROMPTING))
    assert row["images"] == [group.images[0]]
    made = make_export("stage_b.jsonl", index, PROMPTING)
    assert made.rows == 0
    assert made.left_out == {"a photo has no line": 1}


def test_captions_that_were_corrected(index: Index, demo_photos: list[Path]) -> None:
    descs = {"图片_1": {"object_1": "BBU设备/中兴", "object_2": None}, "图片_2": {"object_1": "x"}}
    _say(index, "agreed", choice=PASS, descs=descs)
    made = make_export("captions.jsonl", index, PROMPTING)
    (row,) = _rows(made)
    assert row["images"] == [str(demo_photos[0])]
    assert row["objects"] == [{"bbox_2d": [64, 51, 320, 205], "desc": "BBU设备/中兴"}]
    assert made.left_out == {"the caption is not there any more": 1}
