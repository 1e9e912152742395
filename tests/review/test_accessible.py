"""Every page by axe, in all sizes and themes: no serious fault, nothing wider than a window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browsers import watched_page
from tests.review.team_site import lone_site, running, team_site
from tests.team.crew import PASSWORD

TOKEN = "t" * 24
PAGES = {
    "": ("/sign-in", "/join"),
    "alone": ("/name", "/?state=all&text=nothing-like-it"),
    "stranger": ("/login",),
    "主任": (
        *("/?state=all", "/?queue=labels", "/group/1", "/group/2?queue=labels", "/group/3"),
        *("/bulk?pick=1&pick=2", "/compare", "/compare/2", "/audit", "blind", "/export"),
        *("/trail", "/trail/team", "/account", "/nothing", "/team/disagreements"),
        *("/team/agreement", "/team/work", "/team/assignments", "/team/accounts"),
    ),
    "王工": ("/", "/second", "second", "/team/work"),
}
"""Addresses by whoever opens them; without a slash: what the button of a queue leads to."""
CHEAP: dict[str, object] = {"preload": False, "resultTypes": ["violations"]}
CONTRAST = CHEAP | {"runOnly": ["color-contrast"]}
SIZES = ((1280, 860), (390, 844), (844, 390), (1440, 900))
SERIOUS = """async options => {
    const faults = (await axe.run(document, options)).violations
        .filter(fault => ["serious", "critical"].includes(fault.impact))
        .map(fault => [fault.id, fault.nodes.map(node => node.target.join(" ")).join(", ")]);
    if (document.documentElement.scrollWidth > innerWidth) faults.push(["wider than the window"]);
    return faults;
}"""


class Look(NamedTuple):
    """A size of the window, a theme, and what axe looks at."""

    size: tuple[int, int]
    theme: Literal["light", "dark"]
    options: dict[str, object]


MATRIX = [Look(size, theme, CHEAP) for size in SIZES for theme in ("light", "dark")]
LOOKS = [
    *(Look(size, "light", CHEAP) for size in SIZES[:2]),
    Look(SIZES[0], "dark", CONTRAST),
]
"""A theme changes colours alone, and what is across or wide is in the whole matrix."""


@pytest.fixture(scope="module")
def contexts(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]
) -> Iterator[dict[str, BrowserContext]]:
    """A browser of each person."""
    folder = tmp_path_factory.mktemp("team")
    with ExitStack() as stack:
        team = stack.enter_context(running(team_site(folder, demo_photos[:2])))
        alone = stack.enter_context(running(lone_site(folder / "before", TOKEN)))
        opened = {}
        for name in PAGES:
            url = alone if name in ("alone", "stranger") else team
            opened[name] = browser.new_context(locale="zh-CN", base_url=url)
            form: dict[str, str | float | bool] = {"name": name, "password": PASSWORD}
            form = {"token": TOKEN} if name == "alone" else form
            if name not in ("", "stranger"):
                address = "/login" if name == "alone" else "/sign-in"
                answer = opened[name].request.post(address, form=form, headers={"Origin": url})
                assert answer.ok
        yield opened


def _open(page: Page, path: str) -> None:
    if path.startswith("/"):
        page.goto(path)
        return
    page.goto({"blind": "/audit"}.get(path, f"/{path}"))
    page.goto(page.locator(".begin").get_attribute("href") or "")


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(LOOKS, id="what-differs"),
        pytest.param(MATRIX, id="everything", marks=pytest.mark.peers),
    ],
)
def test_accessible(contexts: dict[str, BrowserContext], looks: Sequence[Look]) -> None:
    axe, faults = Axe().axe_script, []
    for name, paths in PAGES.items():
        with watched_page(contexts[name], close=False) as page:
            for path in paths:
                _open(page, path)
                page.evaluate(axe)
                for (width, height), theme, options in looks:
                    page.set_viewport_size({"width": width, "height": height})
                    page.emulate_media(color_scheme=theme)
                    serious = page.evaluate(SERIOUS, options)
                    faults += [(name, path, width, theme, *fault) for fault in serious]
    assert faults == []
