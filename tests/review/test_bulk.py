"""Several groups at once: a second look, then a decision of its own for each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.bulk import AGREE, MOST
from shenhe.review.index import Filters
from shenhe.row_types import Evidence
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.values import EvidenceItem
from tests.review.runs import FAIL, PASS, Group, write_run

HERE = "http://127.0.0.1:8765"
MISSING = Evidence(rules="a" * 16, items=[EvidenceItem("挡风板", "need", "missing")])
GROUPS = [
    Group("missing", None, why=("evidence_missing",), ruling=PASS, evidence=MISSING),
    Group("faulty", PASS, line="螺丝、光纤插头/BBU安装螺丝/不符合要求/未拧紧"),
    *(Group(f"fine-{n}") for n in range(3)),
    Group("failed", FAIL, p_pass=0.1),
]


@pytest.fixture
def index(tmp_path: Path, demo_photos: list[Path]) -> Index:
    return Index(write_run(tmp_path / "run", GROUPS, demo_photos[:2]))


@pytest.fixture
def client(index: Index) -> TestClient:
    app = create_app(
        Review("run", index, Prompting(load_missions(), load_prompts())), reviewer="李工"
    )
    headers = {"Origin": HERE, "Accept-Language": "zh"}
    return TestClient(app, HERE, headers=headers, follow_redirects=False)


def _look(client: TestClient, index: Index, *group_ids: str) -> tuple[str, dict[str, str]]:
    """Open the second look at groups; give the page and the form as a browser would send it."""
    numbers = {entry.group_id: entry.number for entry in index.page(Filters())}
    page = client.get("/bulk", params={"pick": [numbers[name] for name in group_ids]}).text
    return page, _form(page)


def _form(page: str) -> dict[str, str]:
    tags = re.findall(
        r'<input type="(hidden|checkbox)" name="([^"]+)" value="([^"]*)"([^>]*)>', page
    )
    return {
        name: value
        for kind, name, value, rest in tags
        if name != "here" and (kind == "hidden" or "checked" in rest)
    }


def _choices(index: Index) -> dict[str, str]:
    return {e.group_id: e.choice for e in index.page(Filters()) if e.choice is not None}


def test_each_group_gets_a_decision_of_its_own(client: TestClient, index: Index) -> None:
    page, form = _look(client, index, "fine-0", "fine-1", "failed")
    assert page.count("thumb.jpg") == 6
    assert page.count("BBU设备/华为") == 6
    assert "不利于通过" not in page
    assert _choices(index) == {}  # looking decides nothing
    del form["take-1"]
    answer = client.post("/bulk?mission=x", data={**form, "choice": "待定", "comment": "再拍"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?mission=x&told=bulk_decided&about=2"
    assert _choices(index) == {"fine-0": "待定", "failed": "待定"}
    trail = index.decisions.trail()
    assert [(d.version, d.reviewer) for d in trail] == [(1, "李工")] * 2
    assert {d.opinion.comment for d in trail if d.opinion} == {"再拍"}
    # The same form once more decides nothing: it shows what is now, unticked.
    answer = client.post("/bulk", data={**form, "choice": FAIL})
    assert answer.status_code == 409
    assert "已判 0 组；下面 2 组没有判" in answer.text
    assert "人工结论在此期间有变化" in answer.text
    assert not any(name.startswith("take-") for name in _form(answer.text))
    assert len(index.decisions.trail()) == 2


def test_what_speaks_against_a_pass_is_confirmed_for_each(client: TestClient, index: Index) -> None:
    page, form = _look(client, index, "missing", "faulty", "fine-0")
    assert "挡风板: 缺少" in page
    assert "未拧紧" in page
    answer = client.post("/bulk", data={**form, "choice": PASS})
    assert answer.status_code == 409
    assert "已判 1 组；下面 2 组没有判" in answer.text
    assert _choices(index) == {"fine-0": PASS}
    form = _form(answer.text)
    despites = dict(re.findall(r'name="(despite-\d)" value="([^"]+)"', answer.text))
    assert len(despites) == 2
    # One confirmation is none for the other group, and one of something else is none at all.
    wrong = {"despite-0": despites["despite-1"], "despite-1": despites["despite-1"]}
    assert client.post("/bulk", data={**form, **wrong, "choice": PASS}).status_code == 409
    assert _choices(index) == {"fine-0": PASS, "faulty": PASS}
    # A fault in the comment must be confirmed as well.
    _, form = _look(client, index, "missing", "fine-1")
    faulty = {**form, "choice": PASS, "comment": "螺丝未拧紧", "despite-0": despites["despite-0"]}
    assert "已判 0 组" in client.post("/bulk", data=faulty).text
    # A 不通过 needs no confirmation.
    assert client.post("/bulk", data={**form, "choice": FAIL}).status_code == 303
    assert _choices(index)["missing"] == FAIL


def test_agreeing_gives_each_group_its_verdict(client: TestClient, index: Index) -> None:
    _, form = _look(client, index, "fine-0", "failed", "missing", "faulty")
    answer = client.post("/bulk", data={**form, "choice": AGREE})
    assert "已判 2 组；下面 2 组没有判" in answer.text
    assert "模型没有结论，无从同意" in answer.text
    assert _choices(index) == {"fine-0": PASS, "failed": FAIL}


def test_what_has_changed_since_is_left_out_and_named(client: TestClient, index: Index) -> None:
    _, form = _look(client, index, "fine-0", "fine-1", "fine-2")
    (entry,) = (e for e in index.page(Filters()) if e.group_id == "fine-1")
    index.decisions.add(Decision.on(entry, Opinion(choice=FAIL), "王工"))
    form |= {"seen-2": "2025"}
    answer = client.post("/bulk", data={**form, "choice": PASS})
    assert answer.status_code == 409
    assert _choices(index) == {"fine-0": PASS, "fine-1": FAIL}
    assert "<bdi>王工</bdi>" in answer.text
    assert "照片或模型结论已有变化" in answer.text
    # What was done before a server was killed stays, and the second look says so.
    page, form = _look(client, index, "fine-0", "fine-2")
    assert "其中 1 组已有人工结论，没有勾选" in page
    assert [name for name in form if name.startswith("take-")] == ["take-1"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 303),
        ("pick=999", 404),
        ("pick=x", 400),
        ("pick=-1", 400),
        ("pick=9223372036854775808", 400),
        ("pick=1&pick=1", 200),
        ("&".join(f"pick={n}" for n in range(1, MOST + 2)), 400),
        ("pick=1&queue=labels", 400),
        ("pick=1&state=x", 400),
    ],
)
def test_what_cannot_be_looked_at(client: TestClient, query: str, status: int) -> None:
    assert client.get(f"/bulk?{query}").status_code == status


def test_forms_that_no_page_sends_decide_nothing(client: TestClient, index: Index) -> None:
    _, form = _look(client, index, "fine-0")
    for changes in (
        *({"choice": ""}, {"choice": "pass"}, {"choice": PASS, "key-0": ""}),
        *({"choice": PASS, "version-0": "7"}, {"choice": PASS, "version-0": ""}),
        *({"choice": PASS, "inputs-0": "x"}, {"choice": PASS, "key-0": "another"}),
    ):
        assert client.post("/bulk", data={**form, **changes}).status_code in (400, 409), changes
    assert client.post("/bulk?queue=labels", data={**form, "choice": PASS}).status_code == 400
    assert client.post("/bulk", data={**form, "choice": PASS, "take-0": ""}).status_code == 303
    assert _choices(index) == {}


def test_what_a_person_said_speaks_against_a_pass_and_stays(
    client: TestClient, index: Index
) -> None:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == "fine-0")
    lines = {"图片_1": "BBU设备/华为,显示完整/1个"}
    said = {"choice": FAIL, "faults": ["生锈"], "lines": lines}
    index.decisions.add(Decision.on(entry, Opinion.model_validate(said), "王工"))
    page, form = _look(client, index, "fine-0")
    assert "生锈" in page
    ticked = {**form, "take-0": "1", "choice": PASS}
    assert client.post("/bulk", data=ticked).status_code == 409
    assert _choices(index) == {"fine-0": FAIL}
    (despite,) = re.findall(r'name="despite-0" value="([^"]+)"', page)
    assert client.post("/bulk", data={**ticked, "despite-0": despite}).status_code == 303
    opinion = index.decisions.history(entry.key)[0].opinion
    assert opinion
    assert (opinion.choice, dict(opinion.lines)) == (PASS, lines)
