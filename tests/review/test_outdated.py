"""Decisions on photos that have changed since are kept and shown, but no longer count."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.evaluation import read_outcomes
from shenhe.report import write_report
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.export import EXPORTS, make_export
from shenhe.review.index import Filters, QueueEntry
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions
from tests.runs.test_runs import MISSION, Case

HERE = "http://127.0.0.1:8765"
PROMPTING = Prompting(load_missions(), load_prompts())
BETTER = "BBU设备/华为/显示完整/无需安装×1"


def _photo(case: Case) -> Path:
    return case.tree / MISSION.name / "审核通过" / "g1" / "img-2.jpg"


def _mend(photo: Path) -> None:
    """Change a byte: name and size stay, and later rows are equal to the earlier ones."""
    content = bytearray(photo.read_bytes())
    content[-3] ^= 1
    photo.write_bytes(content)


def _replace(photo: Path) -> None:
    Image.new("RGB", (64, 48), (250, 90, 120)).save(photo, "JPEG")


def _damage(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:40])


def _remove(photo: Path) -> None:
    photo.unlink()


def _touch(photo: Path) -> None:
    os.utime(photo, (2_000_000_000, 2_000_000_000))


def _copy(photo: Path) -> None:
    copy = photo.with_suffix(".new")
    shutil.copyfile(photo, copy)
    copy.replace(photo)


def _entry(index: Index, group_id: str = "g1") -> QueueEntry:
    (entry,) = (entry for entry in index.page(Filters()) if entry.group_id == group_id)
    return entry


def _decide(case: Case, group_id: str = "g1", version: int = 1, **fields: object) -> Decision:
    index = Index(case.out)
    opinion = Opinion.model_validate({"choice": "不通过", "comment": "图片_1未拧紧"} | fields)
    return index.decisions.add(Decision.on(_entry(index, group_id), opinion, "李工", version))


def _open(index: Index) -> list[str]:
    return sorted(entry.group_id for entry in index.page(Filters(state="open")))


def _client(index: Index) -> TestClient:
    app = create_app(Review("run", index, PROMPTING), reviewer="李工")
    return TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)


def _form(page: str) -> dict[str, str]:
    """Read the hidden fields of a group's page."""
    parts = page.split('<input type="hidden" name="')[1:]
    return {part.split('"')[0]: part.split('value="')[1].split('"')[0] for part in parts}


@pytest.mark.parametrize("change", [_mend, _replace, _damage, _remove])
def test_a_decision_on_other_photos_counts_nowhere(
    case: Case, change: Callable[[Path], None]
) -> None:
    first = _decide(case, lines={"图片_1": BETTER}, label_wrong=True)
    _decide(case, "g2", label_wrong=True)
    change(_photo(case))
    assert Index(case.out).progress(Filters()) == (2, 2, 2)  # no run has seen the change yet
    case.run()
    index = Index(case.out)
    assert _open(index) == ["g1"]
    assert index.progress(Filters()) == (2, 1, 1)
    assert index.count_matching(Filters(state="open")) == 1
    assert index.count_matching(Filters(state="decided")) == 1
    assert index.count_matching(Filters(state="overruled")) == 1
    assert _entry(index).choice is None
    outcomes = read_outcomes(case.out, "decisions")
    labels = {outcome.key.rpartition("\x1f")[2]: outcome.label for outcome in outcomes}
    assert labels == {"g1": None, "g2": "fail"}
    text = write_report(case.out).read_text(encoding="utf-8")
    assert "<b>1</b>有人工结论" in text
    assert text.count("人工结论：不通过 · <bdi>李工") == 1
    for name in EXPORTS:
        made = make_export(name, index, PROMPTING)
        of_captions = ("stage_a.jsonl", "captions.jsonl", "unknown_descs.csv")
        assert made.rows == (0 if name in of_captions else 1), name
        assert made.left_out["the photos have changed since it was decided"] == 1
    # The decision itself is kept.
    assert first in index.decisions.trail()
    assert index.decisions.history(first.key) == [first]


@pytest.mark.parametrize("change", [_touch, _copy])
def test_photos_that_are_only_touched_change_no_decision(
    case: Case, change: Callable[[Path], None]
) -> None:
    first = _decide(case)
    change(_photo(case))
    case.run()
    assert _entry(Index(case.out)).choice == "不通过"
    assert list(Decisions(case.out).all_current()) == [first]


def test_photos_that_come_back_bring_the_decision_back(case: Case) -> None:
    first = _decide(case)
    _mend(_photo(case))
    case.run()
    assert list(Decisions(case.out).all_current()) == []
    _mend(_photo(case))
    case.run()
    assert list(Decisions(case.out).all_current()) == [first]


def test_the_page_tells_it_and_begins_anew(case: Case) -> None:
    _decide(case, choice="通过", comment="旧的说明", lines={"图片_1": BETTER})
    _mend(_photo(case))
    with _client(Index(case.out)) as client:
        stale = client.get(f"/group/{_entry(Index(case.out)).number}").text
    case.run()
    index = Index(case.out)
    address = f"/group/{_entry(index).number}"
    with _client(index) as client:
        client.cookies.set("language", "zh")
        page = client.get(address).text
        assert 'id="outdated"' in page
        assert "之后照片有变化，请重新下结论" in page
        assert 'id="current"' not in page
        # Corrections of the old photos' lines are not carried over.
        assert BETTER not in page
        assert 'value="旧的说明"' not in page
        client.cookies.set("language", "en")
        assert "The photos have changed since" in client.get(address).text
        # Lines and verdict are as before; only the photos differ.
        form = {"choice": "通过"}
        refused = client.post(address, data=_form(stale) | {"version": "1"} | form)
        assert refused.status_code == 409
        assert len(index.decisions.trail()) == 1
        assert client.post(address, data=_form(page) | form).status_code == 303
        assert 'id="outdated"' not in client.get(address).text
    assert _open(index) == ["g2"]
    assert [decision.version for decision in Decisions(case.out).all_current()] == [2]


def test_undo_goes_back_to_what_counts_no_more(case: Case) -> None:
    first = _decide(case)
    _mend(_photo(case))
    case.run()
    _decide(case, version=2, choice="通过")
    index = Index(case.out)
    assert _open(index) == ["g2"]
    undone = index.decisions.undo("李工")
    assert undone is not None
    assert (undone.opinion, undone.inputs, undone.version) == (first.opinion, first.inputs, 3)
    assert _open(index) == ["g1", "g2"]
    assert list(index.current_decisions()) == list(index.decisions.all_current()) == []
    undone = index.decisions.undo("李工")
    assert undone is not None
    assert (undone.opinion, undone.version) == (None, 4)
    again = _decide(case, version=5)
    assert list(index.current_decisions()) == [again]


def test_decisions_that_know_no_photos_stay(case: Case) -> None:
    index = Index(case.out)
    older = Decision.on(_entry(index), Opinion(choice="不通过"), "李工").model_copy(
        update={"inputs": None}
    )
    older = index.decisions.add(older)
    _mend(_photo(case))
    case.run()
    assert _open(Index(case.out)) == ["g2"]
    assert list(Decisions(case.out).all_current()) == [older]


def test_a_decision_on_a_group_that_is_gone_from_the_rows_is_exported(case: Case) -> None:
    first = _decide(case)
    for stage in ("stage_a", "stage_b"):
        path = case.out / stage / f"{MISSION.name}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"g1"' not in line), encoding="utf-8")
    index = Index(case.out)
    assert list(index.current_decisions()) == list(index.decisions.all_current()) == [first]
    (row,) = make_export("decisions.jsonl", index, PROMPTING).content.decode().splitlines()
    assert json.loads(row)["inputs"] == first.inputs
