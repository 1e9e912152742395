"""The report: totals, and everything that comes from outside escaped."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shenhe.errors import RunError
from shenhe.formats.verdict import photos_named
from shenhe.proportions import Share
from shenhe.report import read_run, write_report
from shenhe.review import Index
from shenhe.rows.decision_rows import Decision, Opinion
from tests.review.runs import write_captions

HOSTILE = "通过</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7*7 }}"
META = {"schema": 1, "prompt_hash": "p", "checkpoint": "c", "inputs_hash": None, "answers": {}}


def _verdict(
    group: str, label: str | None, verdict: str | None, reason: str = "r"
) -> dict[str, Any]:
    return {
        "group_id": group,
        "mission": "挡风板安装检查",
        "label": label,
        "verdict": verdict,
        "reason": reason,
        "p_pass": 0.5,
        "status": "decided" if verdict else "undecided",
        "raw": reason,
        "timestamp": "t",
        "meta": META,
    }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "<run>"
    photo = tmp_path / "<img src=x onerror=alert(3)>.png"
    Image.new("RGB", (64, 64), (200, 10, 10)).save(photo)
    verdicts = [
        _verdict("right", "pass", "通过"),
        _verdict("false pass", "fail", "通过"),
        _verdict("free", None, "不通过"),
        _verdict(HOSTILE, "fail", None, HOSTILE),
    ]
    _write(folder / "stage_b" / "挡风板安装检查.jsonl", verdicts)
    summary = {
        "group_id": HOSTILE,
        "mission": "挡风板安装检查",
        "label": "fail",
        "images": [str(photo), str(tmp_path / "gone.jpg")],
        "per_image": {"图片_1": HOSTILE, "图片_2": "无关图片"},
        "timestamp": "t",
        "meta": META,
    }
    _write(folder / "stage_a" / "挡风板安装检查.jsonl", [summary])
    return folder


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_nothing_from_outside_becomes_markup(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    parser = _Tags()
    parser.feed(text)
    assert [tag for tag, _ in parser.tags].count("script") == 1
    for tag, attributes in parser.tags:
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/jpeg;base64,")
        assert not {"href", "action"} & attributes.keys()
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7*7 }}" in text
    assert "script-src &#39;sha256-" in text or "script-src 'sha256-" in text


def test_totals(run: Path) -> None:
    reading = read_run(run)
    (tally,) = reading.missions
    assert (tally.groups, tally.agreement) == (4, Share(1, 3))
    assert tally.by_label.false_pass == Share(1, 2)
    names = [group.row.group_id for group in reading.shown]
    assert names == [HOSTILE, "false pass", "right", "free"]
    assert [group.row.group_id for group in read_run(run, 2).shown] == names[:2]
    assert read_run(run, 0).shown == []


def test_a_photo_that_is_gone_is_told(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    assert "找不到照片文件" in text
    assert text.count("data:image/jpeg") == 1


def test_dense_captions_are_drawn_over_the_photos(run: Path, tmp_path: Path) -> None:
    write_captions(run, [next(tmp_path.glob("*.png"))], desc=HOSTILE)
    text = write_report(run).read_text(encoding="utf-8")
    parser = _Tags()
    parser.feed(text)
    drawn = [dict(found) for tag, found in parser.tags if tag in ("polygon", "polyline")]
    photos = [found["points"] for found in drawn if found.get("stroke", "") != "#1f5fa8"]
    assert photos == ["100,100 500,100 500,400 100,400", "10,10 700,800"]
    assert [tag for tag, _ in parser.tags].count("script") == 1
    assert "电线/捆扎整齐</bdi></li>" in text


def test_what_people_decided_stands_beside_the_verdict(run: Path) -> None:
    row = read_run(run).shown[1].row
    index = Index(run)
    found = index.group_by_key(row.key)
    assert found is not None
    said = Opinion(choice="不通过", comment=HOSTILE, faults=("未拧紧", "生锈"))
    index.decisions.add(Decision.on(found.entry, said, "李工<b>"))
    text = write_report(run).read_text(encoding="utf-8")
    assert "<b>1</b>有人工结论" in text
    assert "<b>1</b>改判" in text
    assert "人工结论：不通过 · <bdi>李工&lt;b&gt;</bdi>" in text
    assert "人工结论：<bdi>未拧紧、生锈，通过&lt;/script&gt;" in text


def test_curves_are_of_a_sample_where_groups_are_many(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(read_run(run).outcomes) == 3
    monkeypatch.setattr("shenhe.report.tally.DRAWN", 2)
    assert len(read_run(run).outcomes) == 2


def test_labelled_groups_have_curves(run: Path) -> None:
    assert "1 of 3 passed by people" in write_report(run).read_text(encoding="utf-8")
    rows = run / "stage_b" / "挡风板安装检查.jsonl"
    text = re.sub(r'"label": "(pass|fail)"', '"label": null', rows.read_text(encoding="utf-8"))
    rows.write_text(text, encoding="utf-8")
    assert "<svg" not in write_report(run).read_text(encoding="utf-8")


def test_no_more_groups_than_asked_for(run: Path) -> None:
    text = write_report(run, max_groups=1).read_text(encoding="utf-8")
    assert len(re.findall(r"<article", text)) == 1
    assert "共 4 组，这里显示 1 组" in text


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no verdicts"):
        write_report(tmp_path)
    _write(tmp_path / "stage_b" / "a.jsonl", [{"group_id": 1}])
    with pytest.raises(RunError, match="not a verdict row"):
        write_report(tmp_path)


def test_a_photo_is_named_by_its_whole_key() -> None:
    assert photos_named("图片_1中螺丝") == {"图片_1"}
    assert photos_named("图片_12，图片_1") == {"图片_12", "图片_1"}
    assert photos_named("图片中") == set()
