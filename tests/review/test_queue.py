"""Pages of the queue: what each entry says, orders, pages to and fro, progress."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import SORTS, STATES, Filters
from shenhe.review.listing import PAGE_SIZE, explain_entry, read_page
from shenhe.rows.decision_rows import Decision, DecisionChoice, Opinion
from tests.review.runs import FAIL, PASS, Group, write_run

HERE = "http://127.0.0.1:8765"
GROUPS = [
    Group("unread", None, None, None, "evidence_missing: 缺少: 电线", why=("evidence_missing",)),
    Group("escaped", PASS, "fail", 0.97, mission="BBU接地线检查"),
    Group("near", PASS, None, 0.55),
    Group("sure", PASS, "pass", 0.999),
    *(Group(f"QC-{n:03d}", (PASS, FAIL)[n % 2], None, (n * 37 % 101) / 101) for n in range(120)),
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    """A run of three pages, of which every third group is decided."""
    folder = write_run(tmp_path_factory.mktemp("queue") / "run", GROUPS, demo_photos[:2])
    index = Index(folder, audit_share=1.0)
    choices: tuple[DecisionChoice, ...] = (PASS, "待定", FAIL)
    for entry in index.page(Filters(), count=200)[-1::-3]:
        opinion = Opinion(choice=choices[entry.number % 3])
        index.decisions.add(Decision.on(entry, opinion, "李工"))
    return folder


@pytest.fixture(scope="module")
def client(run_dir: Path) -> Iterator[TestClient]:
    app = create_app(
        Review("run", Index(run_dir), Prompting(load_missions(), load_prompts())), reviewer="李工"
    )
    with TestClient(app, HERE, headers={"Origin": HERE, "Accept-Language": "zh"}) as client:
        yield client


@pytest.mark.parametrize("sort", ["", *SORTS, *(f"-{name}" for name in SORTS)])
@pytest.mark.parametrize("state", ["all", *STATES])
def test_pages_lead_to_and_fro_without_gaps(run_dir: Path, sort: str, state: str) -> None:
    index = Index(run_dir)
    filters = Filters(state=state, sort=sort)
    pages = [read_page(index, filters, 0, 0, 0)]
    while pages[-1].has_next:
        last = pages[-1].entries[-1]
        pages.append(read_page(index, filters, last.number, 0, last.decision))
    listed = [entry.number for page in pages for entry in page.entries]
    assert len(listed) == len(set(listed)) == index.count_matching(filters)
    if sort.removeprefix("-") == "p_pass":
        chances = [-1.0 if e.p_pass is None else e.p_pass for p in pages for e in p.entries]
        assert chances == sorted(chances, reverse=sort.startswith("-"))
    back = [pages[-1]]
    while len(back) < len(pages):
        first = back[-1].entries[0]
        back.append(read_page(index, filters, 0, first.number, first.decision))
    assert [page.entries for page in back[::-1]] == [page.entries for page in pages]
    # A page begins anew where less than a whole one lies before it.
    assert not back[-1].has_previous
    if len(listed) > 9:
        ninth = pages[0].entries[8]
        whole = read_page(index, filters, 0, ninth.number, ninth.decision)
        assert whole.entries == pages[0].entries


def test_moves_from_a_group_keep_the_order_of_the_list(run_dir: Path) -> None:
    index, filters = Index(run_dir), Filters(sort="-group")
    listed = [entry.number for entry in index.page(filters, count=200)]
    following = index.following(filters, listed[0])
    preceding = index.preceding(filters, listed[-1])
    assert following is not None
    assert preceding is not None
    assert (following.number, preceding.number) == (listed[1], listed[-2])
    assert index.preceding(filters, listed[0]) is index.following(filters, listed[-1]) is None


@pytest.mark.parametrize(
    ("group_id", "queue", "reasons"),
    [
        ("unread", "", ["未决：缺少必要内容", "没有通过概率"]),
        ("escaped", "", ["与原人工结论不一致：原判 不通过", "通过概率 0.97", "随机抽入盲审"]),
        ("near", "", ["通过概率 0.55，接近分界，把握小", "随机抽入盲审"]),
        ("sure", "", ["通过概率 1.00，模型把握较大", "随机抽入盲审"]),
        ("escaped", "labels", ["原人工结论为不通过，模型判为通过", "通过概率 0.97"]),
    ],
)
def test_entry_says_why_it_is_there(
    run_dir: Path, group_id: str, queue: str, reasons: list[str]
) -> None:
    filters = Filters(text=group_id, queue=queue)
    (entry,) = Index(run_dir).page(filters)
    told = [re.sub("<.*?>", "", reason) for reason in explain_entry(entry, filters, "zh")]
    assert told == reasons


def test_open_groups_come_first_and_all_are_said(client: TestClient, run_dir: Path) -> None:
    index = Index(run_dir)
    page = client.get("/").text
    assert page.count('class="row"') == PAGE_SIZE
    assert "data-choice hidden" in page
    assert "data-choice>" not in page
    open_count, whole = index.count_matching(Filters(state="open")), index.progress(Filters())
    assert f"符合条件 {open_count} 组" in page
    assert f"已审 {whole.decided} / 124 组" in page
    assert "筛选范围" not in page
    page = client.get("/", params={"mission": "BBU接地线检查", "state": "all"}).text
    assert f"已审 {whole.decided} / 124 组" in page
    assert "筛选范围： 已审" in page
    assert "已审 0 / 1 组" in page or "已审 1 / 1 组" in page
    page = client.get("/?state=decided&sort=-decided").text
    assert "李工" in page
    assert "2 张照片" in page
    assert re.search(r'<time datetime="[0-9T:-]+Z">[0-9 :-]+ UTC</time>', page)
    assert "thumb.jpg?of=" in page
    for query in ("sort=x", "sort=-", "sort=need", "state=ALL", "before=x", "at=x"):
        assert client.get(f"/?{query}").status_code == 400, query


def test_who_has_a_group_open_is_said_to_others(client: TestClient, run_dir: Path) -> None:
    entry = Index(run_dir).page(Filters(state="open"))[0]
    assert client.get(f"/group/{entry.number}").status_code == 200
    assert "正打开着" not in client.get("/").text
    client.cookies.set("reviewer", "wang")
    assert "<bdi>李工</bdi> 正打开着" in client.get("/").text
    client.cookies.clear()


def test_another_process_builds_and_decides(run_dir: Path, demo_photos: list[Path]) -> None:
    index, other = Index(run_dir), Index(run_dir)
    entry = index.page(Filters(state="open", sort="group"))[0]
    version = len(index.decisions.history(entry.key))
    before = index.progress(Filters())
    other.decisions.add(Decision.on(entry, Opinion(choice=FAIL), "王工", version + 1))
    assert index.progress(Filters()).decided == before.decided + 1
    other.decisions.undo("王工")
    assert index.progress(Filters()) == before
    write_run(run_dir, [*GROUPS, Group("later", None)], demo_photos[:2])
    assert Index(run_dir).progress(Filters()).groups == before.groups + 1
    assert index.progress(Filters()).groups == before.groups + 1
    write_run(run_dir, GROUPS, demo_photos[:2])


def test_decided_groups_come_before_the_open_ones_by_time(run_dir: Path) -> None:
    index = Index(run_dir)
    decided = index.progress(Filters()).decided
    for sort in ("decided", "-decided"):
        listed = index.page(Filters(state="all", sort=sort), count=200)
        times = [entry.decision for entry in listed[:decided]]
        assert times == sorted(times, reverse=sort.startswith("-"))
        assert min(times) > 0
        opened = [entry.number for entry in listed[decided:]]
        assert opened == sorted(opened)
        assert not any(entry.choice for entry in listed[decided:])
