"""The report of groups with evidence: items by photos, codes in words, which rate is which."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from shenhe.proportions import Share
from shenhe.report import read_run, write_report
from shenhe.row_types import EVIDENCE_OFF, Evidence, RunMeta, SummaryRow, VerdictMeta, VerdictRow
from shenhe.rows.words import CODE_WORDS, describe_false_pass, words_of
from shenhe.values import UNDECIDED_CODES, EvidenceItem, Label, Ruling

MISSION = "BBU接地线检查"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
NEEDED = EvidenceItem(
    "地排处接地螺丝", "need", "missing", doubtful=("图片_3",), wrong=("图片_1",), place="<2>"
)
ITEMS = [
    EvidenceItem("机柜处接地螺丝", "need", "seen", right=("图片_1", "图片_2")),
    NEEDED,
    EvidenceItem("电线 分布散乱", "fault", "stated", wrong=("图片_2",)),
]


def _verdict(
    group_id: str,
    verdict: Ruling | None,
    label: Label | None = None,
    *,
    why: tuple[str, ...] = (),
    evidence: Evidence | None = None,
    mission: str = MISSION,
) -> VerdictRow:
    meta = VerdictMeta(
        prompt_hash="p", checkpoint="c", answers={}, why=list(why), evidence=evidence, ruling="通过"
    )
    return VerdictRow(
        group_id=group_id,
        mission=mission,
        label=label,
        verdict=verdict,
        reason="r",
        p_pass=0.9,
        status="decided" if verdict else "undecided",
        raw="通过\n理由: r",
        timestamp="t",
        meta=meta,
        extra={"不通过原因": "线径<b>不一致", "工单": {"区域": "东"}},
    )


def _write(folder: Path, rows: list[VerdictRow], photos: int = 3) -> Path:
    images = []
    for number in range(photos):
        images.append(str(folder / f"{number}.png"))
        Image.new("RGB", (64, 48), (60 * number % 255, 90, 10)).save(images[-1])
    lines = {f"图片_{number + 1}": f"行{number + 1}" for number in range(3)}
    meta = RunMeta(prompt_hash="p", checkpoint="c", answers={})
    summaries = [
        SummaryRow(
            group_id=row.group_id,
            mission=row.mission,
            label=row.label,
            images=images,
            per_image=lines,
            timestamp="t",
            meta=meta,
        )
        for row in rows
    ]
    for stage, written in (("stage_a", summaries), ("stage_b", rows)):
        (folder / stage).mkdir()
        text = "".join(row.to_json() + "\n" for row in written)
        (folder / stage / f"{MISSION}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    both = ("evidence_missing", "evidence_against")
    checked = Evidence(rules="0123456789abcdef", items=ITEMS)
    return _write(
        tmp_path,
        [
            _verdict("held", None, "fail", why=both, evidence=checked),
            _verdict("through", "通过", "fail", evidence=Evidence(rules=EVIDENCE_OFF)),
            _verdict("stopped", "不通过", "fail"),
            _verdict("right", "通过", "pass", evidence=Evidence(rules="")),
            _verdict("old", None),
            _verdict("engine", None, why=("timeout", "unsure"), mission="挡风板安装检查"),
        ],
    )


@pytest.fixture
def page(run: Path, browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 390, "height": 900})
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(write_report(run).as_uri())
    yield opened
    opened.close()
    assert problems == []


def test_an_item_a_line_and_a_photo_a_column(page: Page) -> None:
    expect(page.locator(".evidence")).to_have_count(1)
    lines = page.locator(".evidence tr").all_inner_texts()
    assert [re.split(r"\s*\t\s*", line) for line in lines] == [
        ["证据", "图片_1", "图片_2", "图片_3"],
        ["已看到 机柜处接地螺丝", "✓ 符合", "✓ 符合", "– 未提及"],
        ["缺少 地排处接地螺丝 站点距离/<2>", "✗ 不符合", "– 未提及", "? 有疑问"],
        ["有缺陷 电线 分布散乱", "– 未提及", "✗ 不符合", "– 未提及"],
    ]


def test_a_cell_lights_up_its_photo_and_leads_to_it(page: Page) -> None:
    photos = page.locator(".group figure")
    lit = page.locator("figure.lit figcaption b")
    expect(lit).to_have_count(0)
    page.locator(".evidence tr").nth(2).locator("td").nth(2).hover()
    expect(lit).to_have_text("图片_3")
    page.locator(".evidence tr").nth(1).locator("th").hover()
    expect(lit).to_have_count(0)
    page.locator(".evidence button").nth(1).focus()
    expect(lit).to_have_text("图片_2")
    page.set_viewport_size({"width": 390, "height": 300})
    assert not photos.nth(1).evaluate("e => e.getBoundingClientRect().top < innerHeight")
    page.keyboard.press("Enter")
    expect(photos.nth(1)).to_be_in_viewport()
    expect(photos.nth(1)).to_be_focused()


def test_it_is_read_by_everybody_and_fits_a_phone(page: Page) -> None:
    results = Axe().run(page, options=WCAG)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_many_photos_stay_within_the_group(tmp_path: Path, browser: Browser) -> None:
    """The largest groups have 28 photos; of a thing that is nowhere, no cell can be focused."""
    nowhere = Evidence(rules="0123456789abcdef", items=[EvidenceItem("电线", "need", "missing")])
    folder = _write(tmp_path, [_verdict("QC-1", None, evidence=nowhere)], photos=28)
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(write_report(folder).as_uri())
    expect(page.locator(".evidence thead th")).to_have_count(29)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    results = Axe().run(page, options=WCAG)
    assert results.violations_count == 0, results.generate_report()
    page.close()


def test_codes_have_words_and_are_counted_by_mission(run: Path, page: Page) -> None:
    first, second = read_run(run).missions
    assert first.why == {"evidence_missing": 1, "evidence_against": 1, "": 1}
    assert second.why == {"timeout": 1, "unsure": 1}
    rows = [text.split("\t") for text in page.locator(".codes tr").all_inner_texts()]
    assert rows == [
        ["原因", MISSION, "挡风板安装检查", "合计"],
        ["把握不够", "0", "1", "1"],
        ["缺少必要内容", "1", "0", "1"],
        ["摘要写明了问题", "1", "0", "1"],
        ["其他原因 timeout", "0", "1", "1"],
        ["未注明", "1", "0", "1"],
        ["未决的组", "2", "1", "3"],
    ]
    assert CODE_WORDS.keys() == set(UNDECIDED_CODES)
    assert all(words.zh and words.en for words in map(words_of, UNDECIDED_CODES))


def test_it_says_which_rate_is_meant_and_whether_evidence_was_checked(page: Page) -> None:
    text = page.locator("main").inner_text()
    assert "每 100 个不合格约放过 33 个（1/3，95% 区间 6.1–79.2）" in text
    assert "放行的 1,000 组里约 500 组不合格" in text
    for words in (
        "已按证据规则核对 1",
        "证据规则已关闭 1",
        "任务没有证据规则 1",
        "未经证据规则核对 3",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("of_failed", "of_passed", "expected"),
    [
        (Share(0, 0), Share(0, 9), "没有人工判不合格的组"),
        (Share(0, 4), Share(0, 0), "没有放行任何组"),
        (Share(1, 4000), Share(1, 9), "约放过 <0.1 个（1/4,000"),
        (
            Share(4, 4),
            Share(4, 4),
            "约放过 100 个（4/4，95% 区间 51.0–100.0）；放行的 1,000 组里约 1,000",
        ),
    ],
)
def test_the_rate_in_words(of_failed: Share, of_passed: Share, expected: str) -> None:
    assert expected in describe_false_pass(of_failed, of_passed).zh


def test_what_another_tool_gave_a_group_stays_with_it(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    assert text.count("<bdi>不通过原因</bdi>: <bdi>线径&lt;b&gt;不一致</bdi>") == 6
    assert "<bdi>工单</bdi>: <bdi>{&#34;区域&#34;: &#34;东&#34;}</bdi>" in text


def test_lines_of_another_tool_without_photos_are_shown(tmp_path: Path) -> None:
    folder = _write(tmp_path, [_verdict("QC-1", None)], photos=1)
    path = folder / "stage_a" / f"{MISSION}.jsonl"
    row = json.loads(path.read_text(encoding="utf-8"))
    # The line of the first photo is missing: the second one's must not stand below it.
    del row["per_image"]["图片_1"]
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    text = write_report(folder).read_text(encoding="utf-8")
    assert text.count("记录里没有这张照片的路径") == 2
    shown = re.findall(r"<figcaption><b>(图片_\d)</b>.*?<br>(.*?)\n", text)
    assert shown == [
        ("图片_1", "<bdi></bdi>"),
        ("图片_2", "<bdi>行2</bdi>"),
        ("图片_3", "<bdi>行3</bdi>"),
    ]
    assert text.count("data:image/jpeg") == 1


def test_evidence_of_photos_that_are_not_shown(tmp_path: Path) -> None:
    evidence = Evidence(rules="0123456789abcdef", items=ITEMS)
    folder = _write(tmp_path, [_verdict("QC-1", None, evidence=evidence)])
    (folder / "stage_a" / f"{MISSION}.jsonl").unlink()
    text = write_report(folder).read_text(encoding="utf-8")
    head = re.findall(r"<th><bdi>(图片_\d)</bdi></th>", text)
    assert head == ["图片_1", "图片_2", "图片_3"]
