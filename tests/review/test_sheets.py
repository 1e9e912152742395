"""Sheets that review serves: made anew of the present decisions, or told why not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import openpyxl
import pytest
from docx import Document
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.languages import LANGUAGES, Language
from shenhe.report import write_report
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.routes import sheets
from shenhe.rows.decision_rows import Decision, Opinion
from tests.review.runs import FAIL, PASS, Group, write_run
from tests.review.shown_words import NOT_WORDS, Words
from tests.review.test_words import HERE


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    areas = ({"区域": area} for area in ("西", "东", "西", "东"))
    groups = [Group(f"QC-{n}", PASS, "pass", extra=area) for n, area in enumerate(areas)]
    return write_run(tmp_path / "第 48 周", groups, [])


@pytest.fixture
def client(run_dir: Path) -> Iterator[TestClient]:
    prompting = Prompting(load_missions(), load_prompts())
    app = create_app(Review("run", Index(run_dir), prompting), reviewer="李工")
    with TestClient(app, HERE) as client:
        yield client


def _decide(run_dir: Path, number: int) -> None:
    index = Index(run_dir)
    group = index.group(number)
    assert group is not None
    index.decisions.add(Decision.on(group.entry, Opinion(choice="不通过"), "李工"))


def _decisions(content: bytes) -> list[str | None]:
    rows = openpyxl.load_workbook(io.BytesIO(content))["组"].iter_rows(values_only=True)
    head, *rest = rows
    return [row[head.index("人工结论")] for row in rest]


def test_sheet_is_made_anew_of_the_present_decisions(client: TestClient, run_dir: Path) -> None:
    before = client.get("/sheets?format=xlsx&lang=zh")
    assert before.status_code == 200
    assert "验收单-第 48 周-" in unquote(before.headers["content-disposition"])
    assert before.headers["cache-control"] == "no-store"
    assert _decisions(before.content) == [None] * 4
    page = write_report(run_dir)
    assert "有了新的人工结论" not in client.get("/export").text
    _decide(run_dir, 1)
    assert sorted(map(str, _decisions(client.get("/sheets?format=xlsx").content)))[-1] == FAIL
    assert "有了新的人工结论" in client.get("/export").text
    assert "人工结论：不通过" not in page.read_text(encoding="utf-8")
    assert "人工结论：不通过" in client.get("/sheets?format=html").text
    write_report(run_dir)
    assert "人工结论：不通过" in page.read_text(encoding="utf-8")
    assert "有了新的人工结论" not in client.get("/export").text


def test_chosen_groups_in_each_form(client: TestClient) -> None:
    query = "&lang=en&where=区域=东&group=QC-1 QC-2 QC-3"
    document = client.get(f"/sheets?format=docx{query}")
    text = [cell.text for cell in Document(io.BytesIO(document.content)).tables[2].columns[1].cells]
    assert text == ["Group", "QC-1", "QC-3"]
    pdf = client.get(f"/sheets?format=pdf{query}&max_groups=1")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_cannot_be_is_told_and_kept_in_the_form(
    client: TestClient, language: Language
) -> None:
    client.cookies.set("language", language)
    for query, told in (
        ("group=QC-9&mission=", "QC-9"),
        ("where=区域=北", "区域 (西, 东)"),
        ("where=区域", "区域=东"),
    ):
        answer = client.get(f"/sheets?format=pdf&lang={language}&{query}")
        assert answer.status_code == 400
        shown = " ".join(Words(answer.text, language).all)
        assert told in shown
        assert not NOT_WORDS.search(shown)
    assert 'value="区域"' in answer.text
    for query in ("format=exe", "lang=fr", "max_groups=0", "max_groups=-1", "max_groups=9e9"):
        assert client.get(f"/sheets?{query}").status_code == 400
    assert sheets._turn.acquire(timeout=1)  # each one has given its turn back
    sheets._turn.release()
