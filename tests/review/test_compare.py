"""Two runs side by side: counts, the list of changes, both lines and captions of a group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.evaluation import compare
from shenhe.review import Index, OtherRun, Prompting, Review, create_app
from shenhe.review.differences import mark_differences
from shenhe.review.index import CHANGES, Filters
from shenhe.review.words import load_words
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.outcomes import read_outcomes
from tests.review.runs import FAIL, PASS, Group, served, write_captions, write_run

HERE = "http://127.0.0.1:8765"
UNSEEN = "empty: the verdict is empty"
BEFORE = [
    Group("QC-1", PASS, "pass"),
    Group("QC-2", PASS, "fail", line="BBU设备/华为/显示完整"),
    Group("QC-3", FAIL, "fail", 0.1),
    Group("QC-4", FAIL, "pass", 0.2),
    Group("QC-5", None, "fail", None, UNSEEN),
    Group("QC-6", PASS, None, mission="另一任务"),
    Group("QC-7", PASS, "fail"),
    Group("QC-old", PASS),
]
NOW = [
    Group("QC-1", PASS, "pass"),
    Group("QC-2", FAIL, "fail", 0.1, "图片_1未拧紧", "BBU设备/中兴/显示完整<b>"),
    Group("QC-3", PASS, "fail"),
    Group("QC-4", PASS, "pass"),
    Group("QC-5", PASS, "fail"),
    Group("QC-6", None, None, None, UNSEEN, mission="另一任务"),
    Group("QC-7", FAIL, "fail", 0.1),
    Group("QC-new", PASS),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    photos = demo_photos[:2]
    before, now = folder / "before", folder / "now"
    write_run(before, BEFORE, photos)
    write_run(now, NOW, photos)
    write_captions(before, photos, desc="BBU设备/华为")
    write_captions(now, photos, desc="BBU设备/中兴")
    return before, now


@pytest.fixture(scope="module")
def indexes(runs: tuple[Path, Path]) -> tuple[Index, Index]:
    return Index(runs[0]), Index(runs[1])


@pytest.fixture
def client(indexes: tuple[Index, Index]) -> Iterator[TestClient]:
    before, now = indexes
    other = OtherRun("before", before, now.beside(before))
    prompting = Prompting(load_missions(), load_prompts())
    with TestClient(create_app(Review("now", now, prompting, other)), HERE) as client:
        yield client


def test_counts_are_those_of_evaluate(
    runs: tuple[Path, Path], indexes: tuple[Index, Index]
) -> None:
    before, now = indexes
    *_, total = now.beside(before).missions()
    expected = compare(read_outcomes(runs[0]), read_outcomes(runs[1]))
    assert (total.right_before_only, total.right_now_only) == (1, 3)
    assert (total.right_before_only, total.right_now_only, total.p_value) == expected[1:]
    assert (total.groups, total.changed) == (7, 6)
    assert (total.false_passes_before.count, total.false_passes.count) == (2, 2)
    assert total.false_passes.total == total.false_passes_before.total == 4
    assert now.beside(before).count_alone() == (1, 1)


def test_wrong_label_counts_as_put_right(tmp_path: Path, demo_photos: list[Path]) -> None:
    for name, groups in (("before", BEFORE), ("now", NOW)):
        write_run(tmp_path / name, groups, demo_photos[:1])
    before, now = Index(tmp_path / "before"), Index(tmp_path / "now")
    entry = next(entry for entry in now.page(Filters()) if entry.group_id == "QC-3")
    now.decisions.add(Decision.on(entry, Opinion(choice=PASS, label_wrong=True), "李工"))
    *_, total = now.beside(before).missions()
    corrected = read_outcomes(tmp_path / "now")
    assert total.false_passes.count == 1
    labels = {outcome.key: outcome.label for outcome in corrected}
    old = [o._replace(label=labels.get(o.key, o.label)) for o in read_outcomes(tmp_path / "before")]
    assert (total.right_before_only, total.right_now_only) == compare(old, corrected)[1:3]


@pytest.mark.parametrize(
    ("change", "groups"),
    [
        ("", "QC-2 QC-3 QC-4 QC-5 QC-6 QC-7"),
        ("passes_now", "QC-3 QC-4 QC-5"),
        ("passed_before", "QC-2 QC-6 QC-7"),
        ("undecided_now", "QC-6"),
        ("decided_now", "QC-5"),
        ("false_now", "QC-3 QC-5"),
        ("false_before", "QC-2 QC-7"),
        ("same", "QC-1"),
    ],
)
def test_changes(indexes: tuple[Index, Index], change: str, groups: str) -> None:
    comparison = indexes[1].beside(indexes[0])
    page = comparison.page(change)
    assert sorted(group.group_id for group in page) == groups.split()
    assert comparison.count(change) == len(page)
    numbers = [group.number for group in page]
    assert numbers == sorted(numbers)
    walked, number = [], 0
    while following := comparison.neighbour(change, "", number, next_one=True):
        walked.append(number := following)
    assert walked == numbers
    assert comparison.neighbour(change, "", numbers[0], next_one=False) is None


def test_every_change_has_words_in_both_languages() -> None:
    for language in ("zh", "en"):
        assert all(load_words(language)[f"change_{change or 'any'}"] for change in CHANGES)


def test_pages_speak_both_languages(client: TestClient) -> None:
    for language, words in (
        ("zh", ("误放行：本次运行", "变为通过")),
        ("en", ("False passes, this run",)),
    ):
        client.cookies.set("language", language)
        page = client.get("/compare").text
        assert all(word in page for word in words)
        assert "2 / 4" in page
    assert client.get("/compare?change=nothing").status_code == 400
    assert client.get("/compare/99").status_code == 404


def test_group_shows_both_lines_and_their_differences(
    client: TestClient, indexes: tuple[Index, Index]
) -> None:
    numbers = {group.group_id: group.number for group in indexes[1].beside(indexes[0]).page()}
    page = client.get(f"/compare/{numbers['QC-2']}").text
    assert "<mark><bdi>华为</bdi></mark>" in page
    assert "<mark><bdi>中兴</bdi></mark>" in page
    assert "显示完整<b>" not in page
    assert page.count("<polygon") == 4
    assert page.count("<polyline") == 4
    (first, *_) = re.findall(r'src="(/photo/[^"]+)"', page)
    assert client.get(first.replace("&amp;", "&")).headers["content-type"] == "image/jpeg"


def test_review_of_one_run_has_no_comparison(indexes: tuple[Index, Index]) -> None:
    prompting = Prompting(load_missions(), load_prompts())
    with TestClient(create_app(Review("now", indexes[1], prompting)), HERE) as client:
        assert client.get("/compare").status_code == 404
        assert 'href="/compare"' not in client.get("/").text


def test_photos_of_the_other_run_alone_are_shown(tmp_path: Path, demo_photos: list[Path]) -> None:
    write_run(tmp_path / "before", BEFORE[:2], demo_photos[:3])
    write_run(tmp_path / "now", NOW[:2], demo_photos[:1])
    before, now = Index(tmp_path / "before"), Index(tmp_path / "now")
    review = Review(
        "now",
        now,
        Prompting(load_missions(), load_prompts()),
        OtherRun("before", before, now.beside(before)),
    )
    with TestClient(create_app(review), HERE) as client:
        page = client.get("/compare/1").text
        sources = re.findall(r'<img src="([^"]+)"', page)
        assert len(sources) == 3
        assert [source.startswith("/compare/1/photo/") for source in sources] == [False, True, True]
        assert {client.get(source).status_code for source in sources} == {200}
        assert client.get("/compare/1/photo/4/small.jpg").status_code == 404


@pytest.mark.parametrize(
    "texts", [("", ""), ("", "BBU"), ("a" * 9000, "b" * 9000), ("，" * 9000, "x")]
)
def test_texts_are_whole_however_they_differ(texts: tuple[str, str]) -> None:
    parts = mark_differences(*texts)
    assert tuple("".join(part.text for part in side) for side in parts) == texts


def test_slider_uncovers_one_caption_as_it_covers_the_other(
    browser: Browser, runs: tuple[Path, Path]
) -> None:
    with served(runs[1], "--beside", str(runs[0])) as running:
        page = browser.new_page(base_url=running.url, locale="zh-CN")
        page.goto("/compare")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        slider = page.get_by_role("slider", name="图片_1")
        slider.wait_for()
        clips = "s => document.querySelector(`#photo-1 svg.${s}`).style.clipPath"
        assert page.evaluate(clips, "now") == "inset(0px 0px 0px 50%)"
        slider.focus()
        page.keyboard.press("End")
        assert page.evaluate(clips, "before") in ("inset(0px)", "inset(0px 0% 0px 0px)")
        assert page.evaluate(clips, "now") == "inset(0px 0px 0px 100%)"
        box = page.locator("#photo-1 .layers").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        assert 24 <= int(slider.input_value()) <= 26
        first = page.url
        page.keyboard.press("n")
        page.wait_for_url(lambda url: url != first)
        page.close()
