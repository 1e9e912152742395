"""Fixtures of all tests of the review in a browser; each module starts its own server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browsers import watched_page
from tests.review.runs import Served


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    """Open a window whose scripts raise nothing and ask for nothing that the policy forbids."""
    context = browser.new_context(locale="zh-CN", base_url=server.url, accept_downloads=True)
    with watched_page(context) as page:
        yield page
