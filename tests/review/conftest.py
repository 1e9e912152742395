"""Fixtures of all tests of the review; a module may start another server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browsers import watched_page
from tests.review.runs import Served, served, thirty, write_captions, write_run
from tests.runs.test_runs import Case


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    """A run of thirty groups, with captions."""
    folder = write_run(tmp_path / "run", thirty(), demo_photos[:2])
    write_captions(folder, demo_photos[:1])
    return folder


@pytest.fixture
def case(tmp_path: Path, make_group: Callable[..., Path]) -> Case:
    """A run of a tree of two groups, which can be made again after the tree has changed."""
    make_group("g1", "img-1.jpg", "img-2.jpg", label="审核通过")
    make_group("g2", "img-1.jpg", label="审核不通过")
    case = Case(tmp_path)
    case.out.mkdir()
    for stage, folder in (("a", "stage_a"), ("b", "stage_b")):
        (case.out / folder).mkdir()
        (case.out / stage).symlink_to(folder)
    case.run()
    return case


@pytest.fixture
def server(run_dir: Path) -> Iterator[Served]:
    """Review of that run, of which every group that the machine passed may be audited."""
    with served(run_dir, "--reviewer", "李工", "--audit-share", "1") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    """Open a window whose scripts raise nothing and ask for nothing that the policy forbids."""
    context = browser.new_context(locale="zh-CN", base_url=server.url, accept_downloads=True)
    with watched_page(context) as page:
        yield page
