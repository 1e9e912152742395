"""Fixtures of all tests of the review in a browser; a module may start another server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browsers import watched_page
from tests.review.runs import Served, served, thirty, write_captions, write_run


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    """A run of thirty groups, with captions."""
    folder = write_run(tmp_path / "run", thirty(), demo_photos[:2])
    write_captions(folder, demo_photos[:1])
    return folder


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
