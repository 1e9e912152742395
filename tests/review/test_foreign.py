"""Groups whose rows another tool wrote are shown, decided and exported like any others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from openpyxl import load_workbook
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.export import make_export
from shenhe.review.index import Filters
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.values import FAIL, PASS
from tests.conftest import MISSION

PROMPTING = Prompting(load_missions(), load_prompts())
SITE = '<b>&"站"'


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    image = str(demo_photos[0])
    group = {"group_id": 1, "label": "审核不通过", "site": SITE, "tries": [1, None]}
    summary = group | {"images": [image], "per_image": {"image_1": "标签/可以识别×1"}}
    bare = {"group_id": 2, "raw": f"{PASS}\n理由: 图片_1 显示完整"}
    rows = {
        "stage_a": [summary, "{", {"group_id": 2, "per_image": ["标签/可以识别×1"]}],
        "stage_b": [group | {"verdict": "PASS", "p_pass": 0.75}, bare, []],
    }
    for stage, lines in rows.items():
        path = tmp_path / "run" / stage / f"{MISSION}.jsonl"
        path.parent.mkdir(parents=True)
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return tmp_path / "run"


@pytest.fixture
def index(run_dir: Path) -> Index:
    with pytest.warns(UserWarning, match="1 line could not be read: line [23] is not") as caught:
        index = Index(run_dir)
    assert len(caught) == 2
    return index


def test_pages_show_what_another_tool_gave_a_group(index: Index) -> None:
    app = create_app(Review("run", index, PROMPTING), reviewer="李工")
    with TestClient(app, "http://127.0.0.1:8765") as client:
        numbers = {entry.group_id: entry.number for entry in index.page(Filters())}
        page = client.get(f"/group/{numbers['1']}").text
        assert "&lt;b&gt;&amp;&#34;站&#34;" in page
        assert SITE not in page
        assert "[1, null]" in page
        assert "标签/可以识别×1" in page
        bare = client.get(f"/group/{numbers['2']}")
        assert (bare.status_code, 'id="extra"' in bare.text) == (200, False)
        assert client.get(f"/photo/{numbers['2']}/1/small.jpg").status_code == 404


def test_exports_hold_what_another_tool_gave_a_group(index: Index) -> None:
    for entry in index.page(Filters()):
        opinion = Opinion(choice=FAIL, label_wrong=entry.group_id == "1")
        index.decisions.add(Decision.on(entry, opinion, "李工"))
    excluded = json.loads(make_export("excluded.jsonl", index, PROMPTING).content)
    assert excluded["extra"] == {"site": SITE, "tries": [1, None]}
    lines = make_export("decisions.jsonl", index, PROMPTING).content.decode().splitlines()
    rows = {row["group_id"]: row for row in map(json.loads, lines)}
    assert rows["1"]["extra"] == {"site": SITE, "tries": [1, None]}
    assert (rows["1"]["label"], rows["2"].get("extra")) == ("fail", None)
    text = make_export("decisions.csv", index, PROMPTING).content.decode("utf-8-sig")
    cells = {row["group_id"]: row["extra"] for row in csv.DictReader(io.StringIO(text))}
    assert cells == {"1": f"site: {SITE}; tries: [1, null]", "2": ""}
    book = load_workbook(io.BytesIO(make_export("decisions.xlsx", index, PROMPTING).content))
    last = {row[-1] for row in book.active.iter_rows(min_row=2, values_only=True)}
    assert cells["1"] in last
