"""Corrected captions: what a form may send, what is stored, shown and learnt of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from shenhe.config import Vocabulary, load_missions, load_prompts, load_vocabulary
from shenhe.config.desc_choices import DescChoices
from shenhe.formats.text_formats import CaptionFormat, TextFormats
from shenhe.languages import LANGUAGES
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.corrections import MAX_OBJECTS, MAX_TEXT
from shenhe.review.export import ExportFile, make_export
from shenhe.review.index import Filters
from shenhe.rows.corrected_objects import CorrectedObject
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions
from tests.review.runs import FAIL, PASS, TIME, Group, stored_shapes, write_captions, write_run

HERE = "http://127.0.0.1:8765"
BOX = {"key": "object_1", "kind": "bbox_2d", "points": [[90, 100], [510, 400]]}
WIRE = {"key": "object_2", "kind": "line", "points": [[10, 10], [700, 800]]}
MODEL = [{**BOX, "points": [[100, 100], [500, 400]], "desc": "BBU设备/华为"}]
MODEL += [{**WIRE, "desc": "电线/捆扎整齐"}]
QUAD = {"key": "new_1", "kind": "poly", "points": [[10, 0], [20, 9], [3, 9], [0, 0]]}
PROMPTING = Prompting(load_missions(), load_prompts())


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    folder = write_run(tmp_path / "run", [Group("QC-1"), Group("QC-2")], demo_photos[:3])
    write_captions(folder, demo_photos[:2])
    return folder


@pytest.fixture
def client(run_dir: Path) -> Iterator[TestClient]:
    app = create_app(Review("run", Index(run_dir), PROMPTING), reviewer="李工")
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as client:
        yield client


def _send(client: TestClient, run_dir: Path, shapes: object, query: str = "", **fields: str) -> Any:
    """Decide the first group with corrections, as JSON or as the text of the field."""
    entry = Index(run_dir).page(Filters())[0]
    text = shapes if isinstance(shapes, str) else json.dumps(shapes, ensure_ascii=False)
    form = {"key": entry.key, "version": "0", "seen": TIME, "choice": FAIL, "shapes": text}
    return client.post(f"/group/{entry.number}{query}", data=form | fields)


def _rows(export: ExportFile) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in export.content.decode().splitlines()]
    assert len(rows) == export.rows
    return rows


def _field(page: str) -> str:
    """Give the content of the hidden field, as the browser reads it."""
    text = page.split('<textarea name="shapes"')[1].split(">", 1)[1].split("</textarea>")[0]
    for name, letter in (("#34", '"'), ("#39", "'"), ("lt", "<"), ("gt", ">"), ("amp", "&")):
        text = text.replace(f"&{name};", letter)
    return text


def test_corrections_are_stored_shown_and_learnt(
    client: TestClient, run_dir: Path, demo_photos: list[Path]
) -> None:
    added = {**QUAD, "desc": "标签/ 4G-1"}
    shapes = {
        "图片_1": [
            {**BOX, "desc": "BBU设备/中兴,显示完整"},
            {**WIRE, "desc": "电线/分布散乱"},
            added,
        ],
        "图片_2": MODEL,  # as the model has it: no correction
        "图片_3": [
            {"key": "new_7", "kind": "line", "points": [[0, 0], [1000, 1000]], "desc": "电线"}
        ],
    }
    assert _send(client, run_dir, shapes).status_code == 303
    ordered = {**added, "points": [[0, 0], [10, 0], [20, 9], [3, 9]], "desc": "标签/ 4G-1"}
    expected = {
        "图片_1": [*shapes["图片_1"][:2], ordered],
        "图片_3": shapes["图片_3"],
    }
    assert stored_shapes(run_dir) == {
        photo: [{**item, "kept": False} for item in items] for photo, items in expected.items()
    }
    page = client.get("/group/1").text
    assert json.loads(_field(page)) == stored_shapes(run_dir)
    assert "电线/分布散乱" in page
    assert "改正标注 <bdi>图片_1、图片_3</bdi>" in page
    assert "改正标注 <bdi>图片_1、图片_3</bdi>" in client.get("/trail").text
    first, third = _rows(make_export("captions.jsonl", Index(run_dir), PROMPTING))
    assert first["images"] == [str(demo_photos[0])]
    assert (first["width"], first["height"]) == (640, 512)
    # What a person added stands in reading order; what the model named keeps its order.
    assert first["objects"] == [
        {"quad": [0, 0, 6, 0, 13, 5, 2, 5], "desc": "标签/ 4G-1"},
        {"bbox_2d": [58, 51, 326, 205], "desc": "BBU设备/中兴,显示完整"},
        {"line": [6, 5, 448, 410], "line_points": 2, "desc": "电线/分布散乱"},
    ]
    # A photo without a caption: its size is that of the file.
    assert third["images"] == [str(demo_photos[2])]
    assert third["objects"] == [
        {"line": [0, 0, third["width"], third["height"]]} | {"line_points": 2, "desc": "电线"}
    ]
    assert third["width"] > 300
    assert third["summary"] == "电线×1"


def test_all_objects_deleted_is_a_correction_and_nothing_of_nothing_is_none(
    client: TestClient, run_dir: Path
) -> None:
    assert _send(client, run_dir, {"图片_2": [], "图片_3": []}).status_code == 303
    assert stored_shapes(run_dir) == {"图片_2": []}
    (row,) = _rows(make_export("captions.jsonl", Index(run_dir), PROMPTING))
    assert row["objects"] == []
    assert row["summary"] == "无关图片"
    # The next decision is sent with what the page holds, and keeps it; else the model's is back.
    field = _field(client.get("/group/1").text)
    assert _send(client, run_dir, field, version="1").status_code == 303
    assert stored_shapes(run_dir) == {"图片_2": []}
    assert _send(client, run_dir, "", version="2").status_code == 303
    assert stored_shapes(run_dir) == {}


def test_a_typo_never_gets_into_a_row_unseen(client: TestClient, run_dir: Path) -> None:
    shapes = {"图片_1": [{**BOX, "desc": "BBU设备/华力"}, {**WIRE, "desc": "电线/捆扎整齐"}]}
    answer = _send(client, run_dir, shapes)
    assert answer.status_code == 422
    assert "<bdi>BBU设备/华力</bdi>" in answer.text
    assert "<bdi>BBU设备/华为</bdi>" in answer.text  # what was probably meant
    assert json.loads(_field(answer.text))["图片_1"][0]["desc"] == "BBU设备/华力"
    assert Decisions(run_dir).trail() == []
    keep = answer.text.split('formaction="')[1].split('"')[0].partition("?")[2]
    # A confirmation holds for these descs alone.
    other = {"图片_1": [{**BOX, "desc": "BBU设备/中心"}]}
    assert _send(client, run_dir, other, "?" + keep).status_code == 422
    assert _send(client, run_dir, shapes, "?" + keep).status_code == 303
    kept = stored_shapes(run_dir)["图片_1"]
    assert [(item["desc"], item["kept"]) for item in kept] == [
        ("BBU设备/华力", True),
        ("电线/捆扎整齐", False),
    ]
    assert len(_rows(make_export("captions.jsonl", Index(run_dir), PROMPTING))) == 1
    named = _unknown(run_dir)
    assert [
        (row["group_id"], row["photo"], row["desc"], row["meant"], row["kept"]) for row in named
    ] == [("QC-1", "图片_1", "BBU设备/华力", "BBU设备/华为", "yes")]


def test_a_confirmation_of_one_object_is_enough_for_it(client: TestClient, run_dir: Path) -> None:
    shapes = {"图片_1": [{**BOX, "desc": "柜门", "kept": True}]}
    assert _send(client, run_dir, shapes).status_code == 303


def test_unknown_descs_and_faults_are_asked_about_one_after_the_other(
    client: TestClient, run_dir: Path
) -> None:
    shapes = {"图片_1": [{**BOX, "desc": "螺丝钉/未拧紧"}]}
    answer = _send(client, run_dir, shapes, choice=PASS)
    assert 'id="unknown-descs"' in answer.text
    keep = answer.text.split('formaction="')[1].split('"')[0].partition("?")[2]
    for headers in ({}, {"Accept": "application/json"}):
        client.headers.update(headers)
        answer = _send(client, run_dir, shapes, "?" + keep, choice=PASS)
        assert answer.status_code == 422
        assert "未拧紧" in answer.text
    despite = answer.json()["despite"].partition("?")[2]
    assert _send(client, run_dir, shapes, "?" + despite, choice=PASS).status_code == 200
    assert stored_shapes(run_dir)["图片_1"][0]["kept"] is True


def test_what_earlier_versions_stored_is_read_shown_and_learnt(
    client: TestClient, run_dir: Path
) -> None:
    entry = Index(run_dir).page(Filters())[0]
    row = {"choice": FAIL, "descs": {"图片_1": {"object_1": "BBU设备/中兴", "object_2": None}}}
    Decisions(run_dir).add(Decision.on(entry, Opinion.model_validate(row), "王工"))
    page = client.get("/group/1").text
    assert json.loads(_field(page)) == {
        "图片_1": [{**MODEL[0], "desc": "BBU设备/中兴", "kept": False}]
    }
    (learnt,) = _rows(make_export("captions.jsonl", Index(run_dir), PROMPTING))
    assert learnt["objects"] == [{"bbox_2d": [64, 51, 320, 205], "desc": "BBU设备/中兴"}]
    assert _send(client, run_dir, _field(page), version="1").status_code == 303
    assert stored_shapes(run_dir)["图片_1"][0]["desc"] == "BBU设备/中兴"


def test_a_typo_of_an_earlier_version_is_left_out_and_named(run_dir: Path) -> None:
    entry = Index(run_dir).page(Filters())[0]
    row = {"choice": FAIL, "descs": {"图片_1": {"object_1": "=BBU设备/华力"}}}
    Decisions(run_dir).add(Decision.on(entry, Opinion.model_validate(row), "王工"))
    made = make_export("captions.jsonl", Index(run_dir), PROMPTING)
    assert made.rows == 0
    assert made.left_out == {
        "a desc is not in the vocabulary, and nobody has confirmed it: see unknown_descs.csv": 1
    }
    (named,) = _unknown(run_dir)
    assert (named["desc"], named["kept"], named["reviewer"]) == ("'=BBU设备/华力", "no", "王工")


def _unknown(run_dir: Path) -> list[dict[str, str]]:
    export = make_export("unknown_descs.csv", Index(run_dir), PROMPTING)
    rows = list(csv.DictReader(io.StringIO(export.content.decode("utf-8-sig"))))
    assert len(rows) == export.rows
    return rows


def _thing(**fields: object) -> Mapping[str, object]:
    return {**BOX, "desc": "BBU设备"} | fields


def _of_one(**fields: object) -> str:
    return json.dumps({"图片_1": [_thing(**fields)]})


MANY = [_thing(key=f"new_{number}") for number in range(1, MAX_OBJECTS + 2)]
ROUND = [[round(500 + 400 * (n % 2)), n] for n in range(65)]
HOSTILE: list[tuple[str, str]] = [
    ("[" * 100_000, "无法读取"),
    ('{"图片_1": ' * 3000, "无法读取"),
    ("not JSON", "无法读取"),
    ("[]", "无法读取"),
    ('"图片_1"', "无法读取"),
    ('{"图片_1": [], "图片_1": []}', "无法读取"),
    ('{"图片_1": {}}', "无法读取"),
    ('{"图片_1": [1]}', "无法读取"),
    ('{"图片_1": [null]}', "无法读取"),
    (json.dumps({"图片_1": [_thing(), _thing()]}), "无法读取"),
    ('{"图片_1": [' + "9" * 5000 + "]}", "无法读取"),
    ('{"图片_1": [' + '{"key":"object_1",' * 2 + "}]}", "无法读取"),
    (_of_one(extra=1), "无法读取"),
    (_of_one(key="object_0"), "无法读取"),
    (_of_one(key="__proto__"), "无法读取"),
    (_of_one(key=1), "无法读取"),
    (_of_one(kind="circle"), "无法读取"),
    (_of_one(kind=["line"]), "无法读取"),
    (_of_one(kept="yes"), "无法读取"),
    ('{"图片_9": []}', "没有照片"),
    ('{"__proto__": []}', "没有照片"),
    ('{"\\u0000": []}', "没有照片"),
    (json.dumps({"图片_1": MANY}), "300"),
    ('{"图片_1": [' + " " * MAX_TEXT + "]}", "太多"),
    (_of_one(points=None), "形状不完整"),
    (_of_one(points=[]), "形状不完整"),
    (_of_one(points=[[1, 2]]), "形状不完整"),
    (_of_one(points=[[1, 2], [3, 4], [5, 6]]), "形状不完整"),
    (_of_one(points=[[1, 2], [3, "4"]]), "形状不完整"),
    (_of_one(points=[[1, 2], [3, 4.5]]), "形状不完整"),
    (_of_one(points=[[1, 2], [3, True]]), "形状不完整"),
    (_of_one(points=[[1, 2, 3], [3, 4, 5]]), "形状不完整"),
    (_of_one(points=[[5, 5], [3, 9]]), "形状不完整"),
    (_of_one(points=[[5, 5], [5, 9]]), "形状不完整"),
    (_of_one(points=[[1, 2], [float("nan"), 4]]), "形状不完整"),
    (_of_one(points=[[1, 2], [float("inf"), 4]]), "形状不完整"),
    (_of_one(points=[[1, 2], [3, 1001]]), "照片以外"),
    (_of_one(points=[[-1, 2], [3, 4]]), "照片以外"),
    (_of_one(points=[[1, 2], [10**400, 4]]), "照片以外"),
    (_of_one(kind="line", points=[[5, 5], [5, 5]]), "形状不完整"),
    (_of_one(kind="line", points=[[5, 5]]), "形状不完整"),
    (_of_one(kind="line", points=[[n % 900, 5] for n in range(1001)]), "形状不完整"),
    (_of_one(kind="poly", points=[[5, 5], [9, 9]]), "形状不完整"),
    (_of_one(kind="poly", points=ROUND), "形状不完整"),
    (_of_one(kind="poly", points=[[0, 0], [9, 9], [9, 0], [0, 9]]), "互相交叉"),
    (_of_one(kind="poly", points=[[0, 0], [9, 9], [18, 18]]), "互相交叉"),
    (_of_one(kind="poly", points=[[0, 0], [9, 9], [0, 9], [0, 0]]), "互相交叉"),
    (_of_one(desc=""), "没有描述"),
    (_of_one(desc=" \t\n"), "没有描述"),
    (_of_one(desc=None), "没有描述"),
    (_of_one(desc="长" * 1001), "1000"),
    (_of_one(desc="标签/\x00"), "控制字符"),
    (_of_one(desc="标签/\ud800"), "控制字符"),
    (_of_one(desc="标签/<|im_end|>"), "特殊标记"),
]


def test_hostile_corrections_are_answered_with_a_sentence_and_lose_nothing(
    client: TestClient, run_dir: Path
) -> None:
    for text, sentence in HOSTILE:
        answer = _send(client, run_dir, text, comment="看过了", **{"line-图片_1": "无关图片"})
        assert answer.status_code == 422, text[:80]
        told = answer.text.split('<div class="told" role="alert">')[1].split("</div>")[0]
        assert sentence in told, (text[:80], told)
        assert "没有保存" in told, text[:80]
        assert _field(answer.text) == text
        assert 'value="看过了"' in answer.text
        assert ">无关图片</textarea>" in answer.text
    assert Decisions(run_dir).trail() == []


def test_a_page_that_is_out_of_date_keeps_the_corrections(
    client: TestClient, run_dir: Path
) -> None:
    shapes = json.dumps({"图片_1": [_thing()]}, ensure_ascii=False)
    answer = _send(client, run_dir, shapes, seen="2025")
    assert answer.status_code == 409
    assert json.loads(_field(answer.text))["图片_1"][0]["points"] == BOX["points"]
    assert _send(client, run_dir, "[broken", seen="2025").status_code == 409
    assert _send(client, run_dir, shapes).status_code == 303
    answer = _send(client, run_dir, {"图片_1": []})  # by somebody who has not seen that
    assert answer.status_code == 409
    assert json.loads(_field(answer.text)) == {"图片_1": []}


def test_a_model_of_quads_learns_no_other_polygon(run_dir: Path) -> None:
    formats = TextFormats(caption=CaptionFormat(polygons="quad"))
    prompting = Prompting(load_missions(), load_prompts(), formats)
    app = create_app(Review("run", Index(run_dir), prompting), reviewer="李工")
    triangle = {**QUAD, "points": [[0, 0], [9, 0], [9, 9]], "desc": "标签"}
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as client:
        answer = _send(client, run_dir, {"图片_3": [triangle]})
        assert answer.status_code == 422
        assert "四个角" in answer.text
        assert _send(client, run_dir, {"图片_3": [{**QUAD, "desc": "标签"}]}).status_code == 303
    entry = Index(run_dir).page(Filters())[1]
    opinion = Opinion(choice=PASS, shapes={"图片_3": (CorrectedObject.model_validate(triangle),)})
    Decisions(run_dir).add(Decision.on(entry, opinion, "李工"))
    made = make_export("captions.jsonl", Index(run_dir), prompting)
    assert made.rows == 1
    assert made.left_out == {"the caption breaks its format (geometry)": 1}


def test_a_photo_that_is_gone_teaches_nothing(tmp_path: Path, demo_photos: list[Path]) -> None:
    folder = write_run(tmp_path / "run", [Group("QC-1")], [tmp_path / "gone.jpg"])
    entry = Index(folder).page(Filters())[0]
    line = CorrectedObject(key="new_1", kind="line", points=((0, 0), (9, 9)), desc="电线")
    opinion = Opinion(choice=PASS, shapes={"图片_1": (line,), "图片_7": (line,)})
    Decisions(folder).add(Decision.on(entry, opinion, "李工"))
    made = make_export("captions.jsonl", Index(folder), PROMPTING)
    assert made.rows == 0
    assert made.left_out.total() == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_answer_is_in_the_language_of_the_reader(
    client: TestClient, run_dir: Path, language: str
) -> None:
    client.cookies.set("language", language)
    answer = _send(client, run_dir, {"图片_1": [_thing(desc="柜门")]})
    assert {"zh": "词表", "en": "vocabulary"}[language] in answer.text
    answer = _send(client, run_dir, "{")
    assert {"zh": "无法读取", "en": "cannot be read"}[language] in answer.text


def _list_descs(choice: DescChoices, marks: bool) -> Iterator[str]:
    """List what can be chosen of a category, with the marks of the vocabulary or `/` alone."""
    options = [
        ["", *level.values, *([",".join(level.values)] if level.several else [])]
        for level in choice.levels
    ]
    for values in product(*options):
        desc, chosen = choice.category, list(values)
        for level, value in zip(choice.levels, values, strict=True):
            if value and (not level.after or set(level.after) & set(chosen)):
                is_first = desc == choice.category
                desc += ("/" if is_first or not marks else level.mark) + value
        yield desc


@pytest.mark.parametrize("marks", [True, False], ids=["marks", "slashes"])
def test_whatever_can_be_chosen_is_in_the_vocabulary(marks: bool) -> None:
    vocabulary = load_vocabulary()
    descs = {desc for choice in vocabulary.choices for desc in _list_descs(choice, marks)}
    assert len(descs) > 500
    assert (
        "螺丝、光纤插头/机柜处接地螺丝/不符合要求/生锈".replace("/不", ",不" if marks else "/不")
        in descs
    )
    assert [desc for desc in descs if not vocabulary.knows(desc)] == []
    remarked = [
        f"{choice.category}/{vocabulary.remark_mark}看不清" for choice in vocabulary.choices
    ]
    assert all(map(vocabulary.knows, remarked))


def test_a_vocabulary_of_ones_own(client: TestClient, run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text('schema = 1\npaths = ["尾纤/(有标签|没有标签)"]\n', encoding="utf-8")
    vocabulary = load_vocabulary(path)
    assert isinstance(vocabulary, Vocabulary)
    assert vocabulary.choices == []
    app = create_app(
        Review("run", Index(run_dir), PROMPTING._replace(vocabulary=vocabulary)), reviewer="李工"
    )
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as own:
        assert own.get("/group/1").status_code == 200
        assert _send(own, run_dir, {"图片_1": [_thing()]}).status_code == 422
        assert _send(own, run_dir, {"图片_1": [_thing(desc="尾纤/有标签")]}).status_code == 303
