"""Labels in doubt: what people failed and the model passes, the surest first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.export import make_export
from shenhe.review.index import Filters
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.group_names import read_group_names
from tests.review.runs import FAIL, PASS, TIME, Group, served, write_run

HERE = "http://127.0.0.1:8765"
LABELS = Filters(queue="labels")
PROMPTING = Prompting(load_missions(), load_prompts())
HELD_BACK = "evidence_missing: 缺少: 地排处接地螺丝"
GROUPS = [
    Group("unknown", label="fail", p_pass=None),
    Group("sure", label="fail", p_pass=1.0, log_odds=30.5),
    Group("surer", label="fail", p_pass=1.0, log_odds=31.5),
    Group("earlier", label="fail", p_pass=0.7),
    Group("saturated", label="fail", p_pass=1.0),
    Group("held", None, "fail", 0.9, HELD_BACK, why=("evidence_missing",), ruling=PASS),
    Group("unsure", None, "fail", 0.8, "unsure: 0.8", why=("unsure",), ruling=PASS, log_odds=1.4),
    Group("malformed", None, "fail", None, "format: no verdict", why=("format",)),
    Group("fails", FAIL, label="fail", p_pass=0.1),
    Group("turned", None, "fail", 0.4, "unsure: 0.4", why=("unsure",), ruling=FAIL),
    Group("right", label="pass", p_pass=0.99),
    Group("unlabelled", p_pass=0.99),
]
ORDER = ["saturated", "surer", "sure", "held", "unsure", "earlier", "unknown"]


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path / "run", GROUPS, demo_photos[:2])


@pytest.fixture
def client(run_dir: Path) -> Iterator[TestClient]:
    app = create_app(Review("run", Index(run_dir), PROMPTING), reviewer="李工")
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as client:
        yield client


def _ids(index: Index, filters: Filters = LABELS) -> list[str]:
    return [entry.group_id for entry in index.page(filters)]


def _decide(index: Index, group_id: str, **fields: object) -> Decision:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == group_id)
    current = index.decisions.current(entry.key)
    opinion = Opinion.model_validate({"choice": PASS} | fields)
    version = (current.version if current else 0) + 1
    return index.decisions.add(Decision.on(entry, opinion, "李工", version))


def test_the_surest_first_whatever_has_been_looked_at(run_dir: Path) -> None:
    index = Index(run_dir)
    assert _ids(index) == ORDER
    _decide(index, "surer", label_wrong=True)
    _decide(index, "held", choice=FAIL)
    _decide(index, "earlier", choice="待定")
    # 通过 from the queue by need does not say that anybody thought of the label.
    _decide(index, "sure")
    assert _ids(index) == ORDER
    assert index.progress(LABELS) == (7, 3, 1)
    assert index.last_answers(LABELS, 5) == [False, True]
    for state, group_ids in (
        ("open", ["saturated", "sure", "unsure", "unknown"]),
        ("decided", ["surer", "held", "earlier"]),
        ("overruled", ["surer"]),
        ("deferred", ["earlier"]),
    ):
        filters = Filters(queue="labels", state=state)
        assert _ids(index, filters) == group_ids
        assert index.count_matching(filters) == len(group_ids)
    following = index.following(LABELS, _number(index, "surer"), open_only=True)
    assert following is not None
    assert following.group_id == "sure"
    preceding = index.preceding(LABELS, _number(index, "surer"))
    assert preceding is not None
    assert preceding.group_id == "saturated"
    # A group of another queue is before them all.
    first = index.following(LABELS, _number(index, "right"))
    assert first is not None
    assert first.group_id == "saturated"
    for count in (1, 2, 3, 4, 9):
        pages, after = [index.page(LABELS, count=count)], 0
        while pages[-1]:
            after = pages[-1][-1].number
            pages.append(index.page(LABELS, after, count))
        assert [entry.group_id for page in pages for entry in page] == ORDER


def _number(index: Index, group_id: str) -> int:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == group_id)
    return entry.number


def _form(index: Index, group_id: str, **fields: str) -> dict[str, str]:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == group_id)
    version = len(index.decisions.history(entry.key))
    return {"key": entry.key, "version": str(version), "seen": TIME, "choice": PASS, **fields}


def test_only_the_page_that_asks_says_that_a_label_is_wrong(
    client: TestClient, run_dir: Path
) -> None:
    index = Index(run_dir)

    def decide(group_id: str, query: str, **fields: str) -> Opinion:
        address = f"/group/{_number(index, group_id)}{query}"
        assert client.post(address, data=_form(index, group_id, **fields)).status_code == 303
        (decision, *_) = index.decisions.trail(count=1)
        assert decision.opinion is not None
        return decision.opinion

    assert not decide("sure", "").label_wrong
    assert decide("sure", "?queue=labels").label_wrong
    # Later, 通过 keeps what has been said of the label, and 不通过 takes it back.
    assert decide("sure", "", comment="再看").label_wrong
    assert not decide("sure", "", choice=FAIL).label_wrong
    assert not decide("sure", "").label_wrong
    assert not decide("surer", "?queue=labels", choice=FAIL).label_wrong
    assert not decide("surer", "?queue=labels", choice="待定").label_wrong
    for group_id in ("right", "unlabelled", "malformed", "turned", "fails"):
        assert not decide(group_id, "?queue=labels").label_wrong, group_id
    # A fault is asked back as everywhere, and the answer is still that of this page.
    address = f"/group/{_number(index, 'held')}?queue=labels"
    form = _form(index, "held", comment="未拧紧")
    answer = client.post(address, data=form, headers={"Accept": "application/json"})
    assert answer.status_code == 422
    assert client.post(answer.json()["despite"], data=form).status_code == 303
    assert index.decisions.trail(count=1)[0].opinion == Opinion(
        choice=PASS, comment="未拧紧", label_wrong=True
    )
    assert client.get("/?queue=other").status_code == 400
    assert client.post("/undo?queue=other").status_code == 400


def test_taking_back_brings_the_label_back(client: TestClient, run_dir: Path) -> None:
    index = Index(run_dir)
    address = f"/group/{_number(index, 'sure')}?queue=labels"
    assert client.post(address, data=_form(index, "sure")).status_code == 303
    assert index.progress(LABELS) == (7, 1, 1)
    assert client.post("/undo?queue=labels").headers["location"].startswith(address)
    assert index.progress(LABELS) == (7, 0, 0)


@pytest.mark.parametrize("wrong", [0, 3])
def test_the_page_says_whether_more_looks_are_worth_it(
    tmp_path: Path, demo_photos: list[Path], wrong: int
) -> None:
    groups = [Group(f"QC-{n:02d}", label="fail", log_odds=30.0 - n) for n in range(25)]
    index = Index(write_run(tmp_path / "run", groups, demo_photos[:1]))
    app = create_app(Review("run", index, PROMPTING), reviewer="李工")
    client = TestClient(app, HERE, headers={"Accept-Language": "en"})

    def worth() -> str:
        return client.get("/?queue=labels").text.split('id="worth">')[1].split("<")[0]

    for n in range(20):
        assert worth() == "Look at 20 groups first, then decide whether to go on."
        is_wrong = n < wrong
        _decide(index, f"QC-{n:02d}", choice=PASS if is_wrong else FAIL, label_wrong=is_wrong)
    assert f"Of the last 20 that were looked at, the label of {wrong} was wrong" in worth()
    assert worth().endswith("worth going on." if wrong else "you may stop here.")
    for n in range(20, 25):
        _decide(index, f"QC-{n:02d}", choice=FAIL)
    assert worth() == "All groups here have been looked at."


def test_groups_with_a_wrong_label_are_exported(run_dir: Path, demo_photos: list[Path]) -> None:
    hostile = Group("=1+1\r\nx", label="fail", log_odds=50.0)
    other = Group("sure", label="fail", log_odds=5.0, mission="BBU接地线检查")
    write_run(run_dir, [*GROUPS, hostile, other], demo_photos[:2])
    index = Index(run_dir)
    for group_id, fields in (
        ("saturated", {"comment": "原照片已补拍"}),
        ("surer", {"fault": "标签有误"}),
        (hostile.group_id, {"comment": "=2+2"}),
    ):
        _decide(index, group_id, label_wrong=True, **fields)
    _decide(index, "held")
    _decide(index, "unsure", choice=FAIL)
    keys = make_export("excluded.txt", index, PROMPTING)
    assert keys.content.decode() == "saturated::fail\nsurer::fail\n"
    assert (keys.rows, dict(keys.left_out)) == (2, {"the id holds a line break": 1})
    rows = make_export("excluded.jsonl", index, PROMPTING)
    assert rows.rows == 3
    first, second, third = map(json.loads, rows.content.decode().splitlines())
    assert first == {
        "key": "saturated::fail",
        "group_id": "saturated",
        "label": "fail",
        "mission": "挡风板安装检查",
        "reason": "原照片已补拍",
        "reviewer": "李工",
        "at": first["at"],
    }
    assert second["reason"] == "标签有误"
    assert third["group_id"] == hostile.group_id
    table = make_export("excluded.csv", index, PROMPTING)
    sheet = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"), newline="")))
    assert (len(sheet), table.rows) == (3, 3)
    assert list(sheet[0].values()) == [str(value) for value in first.values()]
    assert sheet[2]["reason"] == "'=2+2"
    # A run leaves out what these files name.
    for name, count in (("excluded.txt", 2), ("excluded.jsonl", 3), ("excluded.csv", 3)):
        (run_dir / name).write_bytes(make_export(name, index, PROMPTING).content)
        names = read_group_names([run_dir / name])
        assert len(names) == count
        assert names.match("挡风板安装检查", "fail", "saturated")
        assert names.match("挡风板安装检查", "fail", hostile.group_id) == (count == 3)
        assert not names.match("挡风板安装检查", "pass", "saturated")
        assert not names.match("挡风板安装检查", "fail", "held")
    # The same id in two missions is one line of the list of keys.
    for entry in index.page(LABELS):
        if entry.group_id == "sure":
            opinion = Opinion(choice=PASS, label_wrong=True)
            index.decisions.add(Decision.on(entry, opinion, "王工"))
    assert make_export("excluded.txt", index, PROMPTING).content.decode().count("sure::") == 1
    assert make_export("excluded.jsonl", index, PROMPTING).rows == 5
    # Somebody who fails one of them after all takes it from the list.
    _decide(index, "saturated", choice=FAIL)
    assert make_export("excluded.jsonl", index, PROMPTING).rows == 4


def _go_on(page: Page, key: str) -> None:
    with page.expect_navigation():
        page.keyboard.press(key)


def test_labels_in_a_browser(browser: Browser, run_dir: Path) -> None:
    with served(run_dir, "--reviewer", "李工") as running:
        context = browser.new_context(locale="zh-CN", base_url=running.url)
        page = context.new_page()
        page.goto("/")
        page.click("nav a:has-text('存疑的原人工结论')")
        expect(page.locator(".queue b")).to_have_text(ORDER)
        page.wait_for_load_state()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/group/" in url)
        expect(page.locator("h1")).to_contain_text("saturated")
        expect(page.locator("#question")).to_have_text(
            "以前人工判为不通过，模型判为通过。原人工结论对不对？"
        )
        buttons = page.locator(".decide .buttons button")
        expect(buttons).to_have_text(
            ["通过 1 原人工结论有误", "不通过 2 原人工结论正确", "待定 3 看不出来"]
        )
        here = page.url
        page.keyboard.press("a")  # an answer to another question
        page.keyboard.press("o")
        page.evaluate("0")
        assert page.url == here
        _go_on(page, "1")
        expect(page.locator("h1")).to_contain_text("surer")
        with page.expect_navigation():
            buttons.nth(0).click()
        expect(page.locator("h1")).to_contain_text("sure 挡风板安装检查")
        _go_on(page, "2")
        expect(page.locator("h1")).to_contain_text("held")
        expect(page.locator(".verdict")).to_contain_text("模型判为 通过: 缺少必要内容")
        _go_on(page, "3")
        expect(page.locator("h1")).to_contain_text("unsure")
        expect(page.locator(".progress span")).to_have_text(
            "已看 4 / 7 组，其中 2 组原人工结论有误"
        )
        _go_on(page, "u")
        expect(page.locator("h1")).to_contain_text("held")
        _go_on(page, "2")
        _go_on(page, "q")
        assert page.url.endswith("?queue=labels")
        expect(page.locator(".queue b")).to_have_text(["unsure", "earlier", "unknown"])
        page.select_option("select[name=state]", "overruled")
        page.click(".filters button")
        page.wait_for_url(lambda url: "state=overruled" in url)
        expect(page.locator(".queue b")).to_have_text(["saturated", "surer"])
        page.locator(".queue a").first.click()
        expect(page.locator("#current")).to_have_text("人工结论: 通过 · 原人工结论有误")
        page.goto("/export")
        with page.expect_download() as download:
            page.click('a[href="/export/excluded.txt"]')
        assert download.value.path().read_text("utf-8") == "saturated::fail\nsurer::fail\n"
        context.close()
    said = {d.group_id: d.opinion for d in Index(run_dir).decisions.all_current()}
    assert said == {
        "saturated": Opinion(choice=PASS, label_wrong=True),
        "surer": Opinion(choice=PASS, label_wrong=True),
        "sure": Opinion(choice=FAIL),
        "held": Opinion(choice=FAIL),
    }
