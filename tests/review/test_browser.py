"""Review of thirty groups in a real browser, by keyboard, and the exported files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, expect

from tests.review.runs import (
    FAIL,
    PASS,
    Group,
    Served,
    served,
    thirty,
    write_captions,
    write_run,
)

HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"'{{7*7}}"


def _decide(page: Page, key: str) -> None:
    before = page.url
    page.keyboard.press(key)
    page.wait_for_url(lambda url: url != before)


def _downloaded(page: Page, name: str, tmp_path: Path) -> bytes:
    with page.expect_download() as download:
        page.locator(f'a[href="/export/{name}"]').click()
    path = tmp_path / name
    download.value.save_as(path)
    return path.read_bytes()


def test_thirty_groups_by_keyboard(page: Page, run_dir: Path, tmp_path: Path) -> None:
    page.goto("/")
    expect(page.locator(".queue .row")).to_have_count(30)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/group/1")
    for number in range(1, 31):
        assert page.url.endswith(f"/group/{number}")
        if number <= 2:  # undecided
            _decide(page, "3")
        elif number <= 7:  # passed, against their label: overruled
            page.keyboard.press("c")
            page.keyboard.type("图片_1中螺丝未拧紧")
            page.keyboard.press("Escape")
            page.keyboard.press("6")
            _decide(page, "2")
        elif number == 12:  # by mistake, taken back, then agreed to
            _decide(page, "2")
            _decide(page, "u")
            expect(page.locator(".told[role=status]")).to_contain_text("已撤销")
            assert page.url.split("?")[0].endswith("/group/12")
            _decide(page, "a")
        else:
            _decide(page, "a")
    assert "told=end" in page.url
    expect(page.locator(".progress span")).to_have_text("已审 30 / 30 组，改判 5 组")

    page.select_option("select[name=state]", "overruled")
    page.keyboard.press("/")
    page.keyboard.type("QC-20261102")
    page.keyboard.press("Enter")
    page.wait_for_url("**state=overruled**")
    expect(page.locator(".queue .row")).to_have_count(5)
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("e")
    expect(page.locator("h1")).to_have_text("Queue")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".queue .row")).to_have_count(5)

    page.locator('header a[href="/export"]').click()
    rows = list(map(json.loads, _downloaded(page, "decisions.jsonl", tmp_path).splitlines()))
    choices = {row["group_id"]: row["said"]["choice"] for row in rows}
    assert choices == {
        group.group_id: "待定" if group.verdict is None else FAIL if group.label == "fail" else PASS
        for group in thirty()
    }
    overruled = [row for row in rows if row["group_id"].startswith("QC-20261102")]
    for row in overruled:
        assert row["said"]["comment"] == "图片_1中螺丝未拧紧"
        assert (row["said"]["faults"], row["said"]["fault"]) == (["未拧紧"], "未拧紧")
        assert row["reviewer"] == "李工"
    text = _downloaded(page, "decisions.csv", tmp_path).decode("utf-8-sig")
    sheet = list(csv.DictReader(io.StringIO(text)))
    assert {row["group_id"]: row["decision"] for row in sheet} == choices
    assert sum(row["overruled"] == "yes" for row in sheet) == 5
    _downloaded(page, "decisions.xlsx", tmp_path)
    cells = list(load_workbook(tmp_path / "decisions.xlsx").active.values)
    assert [list(map(str, row)) for row in cells[1:]] == [
        [value or "None" for value in row.values()] for row in sheet
    ]
    learned = list(map(json.loads, _downloaded(page, "stage_b.jsonl", tmp_path).splitlines()))
    assert [row["messages"][-1]["content"] for row in learned] == [
        "不通过\n理由: 图片_1中螺丝未拧紧"
    ] * 5
    page.locator('header a[href="/trail"]').click()
    expect(page.locator("tbody tr")).to_have_count(32)
    page.locator("tbody a").first.click()
    page.wait_for_url("**/group/30")


def test_what_the_model_had_wrong_is_corrected(page: Page, run_dir: Path, tmp_path: Path) -> None:
    page.goto("/group/3")
    page.locator("#photo-1 summary").first.click()
    page.fill("textarea[name=line-图片_1]", "BBU设备/华为/显示完整/未按要求配备挡风板×1")
    page.locator("h1").click()
    page.keyboard.press("m")
    page.locator("#edit-objects button").first.click()
    page.fill("#edit-free", "BBU设备/中兴")
    page.locator("#edit-objects button").last.click()
    page.keyboard.press("Delete")
    page.fill("input[name=comment]", "未按要求配备挡风板")
    page.click("button.fail")
    page.wait_for_url("**/group/4")
    page.goto("/group/3")
    expect(page.locator("#current")).to_have_text("人工结论: 不通过")
    expect(page.locator("#legend li")).to_contain_text(["BBU设备/中兴"])
    page.goto("/export")
    (line,) = _downloaded(page, "stage_a.jsonl", tmp_path).splitlines()
    row = json.loads(line)
    assert row["messages"][-1]["content"] == "BBU设备/华为/显示完整/未按要求配备挡风板×1"
    assert row["messages"][-2]["content"].count("<image>") == len(row["images"]) == 1
    (line,) = _downloaded(page, "captions.jsonl", tmp_path).splitlines()
    row = json.loads(line)
    assert [item["desc"] for item in row["objects"]] == ["BBU设备/中兴"]
    assert (row["width"], row["height"]) == (640, 512)
    # An invalid line is refused, and the page keeps what was typed.
    page.goto("/group/3")
    page.fill("textarea[name=line-图片_1]", "螺丝 [10, 20, 30, 40]")
    page.click("button.pass")
    expect(page.locator(".told[role=alert]").last).to_contain_text("不能有坐标")
    expect(page.locator("textarea[name=line-图片_1]")).to_have_value("螺丝 [10, 20, 30, 40]")


def test_two_browsers(page: Page, browser: Browser, server: Served) -> None:
    second = browser.new_context(locale="en-GB", base_url=server.url).new_page()
    second.goto("/name")
    second.fill("#reviewer", "王工")
    second.click("main button")
    second.wait_for_url(server.url + "/")
    for tab in (page, second):
        tab.goto("/group/4")
    page.keyboard.press("2")
    page.wait_for_url("**/group/5")
    second.fill("input[name=comment]", "看过了")
    second.click("button.pass")
    alert = second.locator(".told[role=alert]").last
    expect(alert).to_contain_text("李工 has just decided this group: 不通过")
    expect(second.locator("input[name=comment]")).to_have_value("看过了")
    second.click("button.pass")
    second.wait_for_url("**/group/6")  # the first one has 5 open
    second.goto("/group/4")
    expect(second.locator(".history li")).to_have_count(2)
    # A later decision of somebody else is not undone.
    page.keyboard.press("u")
    page.wait_for_url("**/group/4**")
    expect(page.locator(".told[role=status]")).to_contain_text("没有撤销")
    expect(page.locator("#current")).to_have_text("人工结论: 通过")
    second.context.close()


def test_a_server_that_is_gone_is_told_of(page: Page, server: Served) -> None:
    page.goto("/group/4")
    page.fill("input[name=comment]", "很长的说明")
    server.process.kill()
    server.process.wait(10)
    page.click("button.fail")
    expect(page.locator("#not-saved")).to_be_visible()
    expect(page.locator("input[name=comment]")).to_have_value("很长的说明")


def test_what_models_and_files_say_stays_text(
    browser: Browser, tmp_path: Path, demo_photos: list[Path]
) -> None:
    photo = tmp_path / "<img src=x onerror=alert(1)>.jpeg"
    photo.write_bytes(demo_photos[0].read_bytes())
    group = Group(HOSTILE, reason=f"图片_1{HOSTILE}图片_999", line=HOSTILE, mission="<b>任务</b>")
    folder = write_run(tmp_path / "<i>run</i>", [group], [photo])
    write_captions(folder, [photo], desc=HOSTILE)
    with served(folder, "--reviewer", HOSTILE) as running:
        page = browser.new_context(base_url=running.url).new_page()
        page.goto("/")
        expect(page.locator(".queue b")).to_have_text(HOSTILE)
        page.goto("/group/1")
        page.fill("input[name=comment]", HOSTILE)
        page.click("button.fail")
        page.wait_for_url("**told=end**")
        for path in ("/", "/group/1", "/trail", f"/?told=undone&about={HOSTILE}"):
            page.goto(path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("window.hacked") is None
            assert page.locator("main script:not([type]), main b b, main img[src=x]").count() == 0
        page.context.close()
