"""The pictures of the service's pages: groups of the demo, handed in to a service of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.service.test_served import serving

DESK, PHONE = (1280, 1120), (390, 844)
GROUPS = (
    ("BBU接地线检查", "QC-20261111-0000001"),
    ("BBU线缆布放要求", "QC-20261112-0000013"),
    ("挡风板安装检查", "QC-20261113-0000011"),
)
"""One that passes, one with a photo that cannot be read, and the one that is shown."""
VERDICT_MS = 60_000
Opened = Callable[..., AbstractContextManager[Page]]


def show_service(
    browser: Browser, photos: Path, data: Path, opened: Opened, save: Callable[[Page, str], None]
) -> None:
    """Photograph the home page with results, and the page of a group on a phone.

    Example:
        show_service(browser, PHOTOS, folder / "service", opened_page, save_picture)

    """
    model = ("--model", "demo", "--adapters", "demo", "--dtype", "float32")
    with serving(data, *model) as served:
        with opened(browser, DESK, base_url=served.url) as page:
            page.goto("/")
            for count, (mission, group) in enumerate(GROUPS, 1):
                (folder,) = photos.glob(f"{mission}/*/{group}")
                page.select_option("#mission", mission)
                page.set_input_files("#folder", folder)
                page.click("#send")
                verdicts = page.locator(".holder .verdict")
                expect(verdicts).to_have_count(count, timeout=VERDICT_MS)
            page.goto("/")  # the last one alone, above everything under way
            page.select_option("#mission", GROUPS[-1][0])
            page.set_input_files("#folder", folder)
            page.click("#send")
            page.locator(".holder .verdict").wait_for()
            page.wait_for_load_state("load")
            save(page, "serve-home.png")
            address = page.locator(".holder .about a").get_attribute("href") or ""
        phone = {"base_url": served.url, "is_mobile": True, "has_touch": True}
        with opened(browser, PHONE, **phone) as page:
            page.goto(address)
            save(page, "serve-phone.png")
