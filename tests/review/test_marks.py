"""Marks of photos, in the review app and in the report: words in both languages, and a filter."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shenhe.cli.main import exit_code
from shenhe.rows.keys import rows_file
from tests.conftest import MISSION
from tests.review.runs import Group, Served, served, write_run

DARK: dict[str, Any] = {"brightness": 12.0, "content_hash": "a" * 64}
OLD = {"captured_at": "2019-01-01T08:00:00", "content_hash": "b" * 64}
SHARP = {"brightness": 120.0, "sharpness": 0.9, "captured_at": "2026-11-01T09:00:00"}
ORDERS = ("QC-20261101-0000001", "QC-20261101-0000002", "QC-20261101-0000003")
FACTS = dict(zip(ORDERS, (DARK | SHARP | {"brightness": 12.0}, SHARP | OLD, SHARP), strict=True))


def _answer(facts: dict[str, Any]) -> dict[str, Any]:
    counts = {"attempts": 1, "prompt_tokens": 9, "new_tokens": 9}
    return {"raw": "", "finish_reason": "stop", **counts, "facts": facts}


@pytest.fixture(scope="module")
def marked_run(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    """A dark photo in one group, one of another year in the second, nothing in the third."""
    groups = [Group(order, label="pass") for order in ORDERS]
    run = write_run(tmp_path_factory.mktemp("marked"), groups, demo_photos[:1])
    path = rows_file(run / "stage_a", MISSION)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in rows:
        row["meta"]["answers"] = {"图片_1": _answer(FACTS[row["group_id"]])}
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return run


@pytest.fixture(scope="module")
def site(marked_run: Path) -> Iterator[Served]:
    with served(marked_run) as server:
        yield server


def _page(site: Served, path: str, language: str) -> str:
    request = urllib.request.Request(site.url + path, headers={"Cookie": f"language={language}"})
    with urllib.request.urlopen(request) as page:
        return str(page.read().decode())


@pytest.mark.parametrize(
    ("language", "dark", "old"),
    [("zh", "过暗", "早于工单日期"), ("en", "dark", "taken before the order")],
)
def test_review_marks_photos_and_finds_their_groups(
    site: Served, language: str, dark: str, old: str
) -> None:
    pages = [_page(site, f"/group/{number}", language) for number in (1, 2, 3)]
    by_order = {order: page for order in ORDERS for page in pages if f"{order}</" in page}
    assert f'data-mark="dark">{dark}<' in by_order[ORDERS[0]]
    assert f'data-mark="old">{old}<' in by_order[ORDERS[1]]
    assert "data-mark=" not in by_order[ORDERS[2]]
    queue = _page(site, "/?marked=1", language)
    assert [order in queue for order in ORDERS] == [True, True, False]


def test_the_report_counts_them(marked_run: Path) -> None:
    assert exit_code(["report", str(marked_run)]) == 0
    page = (marked_run / "report" / "index.html").read_text("utf-8")
    for words in ("过暗", "早于工单日期"):
        assert words in page
    assert page.count('data-mark="dark"') == page.count('data-mark="old"') == 1
    assert 'data-mark="blurred"' not in page
