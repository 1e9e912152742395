"""The blind audit: a random sample of what the machine passed, judged by its photos alone."""

from __future__ import annotations

import http.client
import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient

from shenhe.cli.main import main
from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import AuditQueue, Filters
from shenhe.row_types import Evidence
from shenhe.rows.audits import AuditPlan, audit_file, plan_audit, read_audit_plan
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.values import EvidenceItem
from tests.review.runs import FAIL, PASS, Group, Served, served, write_captions, write_run
from tests.review.test_served import Client
from tests.warm import COLD

HERE = "http://127.0.0.1:8765"
PROMPTING = Prompting(load_missions(), load_prompts())
ITEM = EvidenceItem("泄密证据", "need", "seen", right=("图片_1",))
GROUPS = [
    Group(
        f"QC-{n:02d}",
        p_pass=0.515151 + n / 100,
        reason="泄密理由图片_1",
        line="泄密摘要",
        raw="泄密原文",
        evidence=Evidence(rules="a" * 16, items=[ITEM]),
        log_odds=7.515151,
        label=("pass", "fail", None)[n % 3],
        extra={"fail_reason": "泄密其他"},
    )
    for n in range(9)
]
GROUPS += [
    Group("fails", FAIL, p_pass=0.1),
    Group("undecided", None, p_pass=0.515151, reason="unsure: 0.5", why=("unsure",), ruling=PASS),
]
SECRETS = re.compile("泄密|515151|unsure|p\\(通过\\)|通过概率|王工|过失|不符合要求×|审核通过")


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    folder = write_run(tmp_path / "run", GROUPS, demo_photos[:2])
    write_captions(folder, demo_photos[:1], desc="泄密标注")
    return folder


def _client(index: Index, reviewer: str | None = "李工") -> TestClient:
    app = create_app(Review("run", index, PROMPTING), reviewer=reviewer)
    return TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)


@pytest.fixture
def index(run_dir: Path) -> Index:
    return Index(run_dir, audit_share=1.0)


@pytest.fixture
def client(index: Index) -> Iterator[TestClient]:
    with _client(index) as client:
        yield client


def _queue(index: Index) -> AuditQueue:
    assert index.audit is not None
    return index.audit


def _states(index: Index, reviewer: str = "李工") -> dict[str, str]:
    return {entry.group_id: entry.state for entry in _queue(index).page(reviewer)}


def _form(client: TestClient, ticket: str, **fields: str) -> dict[str, str]:
    page = client.get(f"/audit/{ticket}").text
    shown = page.split('name="shown" value="')[1].split('"')[0]
    return {"shown": shown, "choice": PASS, **fields}


def _decide_openly(index: Index, group_id: str, reviewer: str, **fields: object) -> Decision:
    (entry,) = (e for e in index.page(Filters()) if e.group_id == group_id)
    current = index.decisions.current(entry.key)
    opinion = Opinion.model_validate({"choice": FAIL, "comment": "过失"} | fields)
    version = (current.version if current else 0) + 1
    return index.decisions.add(Decision.on(entry, opinion, reviewer, version))


def test_the_queue_is_a_random_sample_of_what_passed(run_dir: Path) -> None:
    assert Index(run_dir).audit is None
    index = Index(run_dir, audit_share=1.0)
    plan = read_audit_plan(run_dir)
    assert plan is not None
    entries = _queue(index).page("李工")
    keys = {entry.group_id: entry.key for entry in index.page(Filters(verdict=PASS))}
    assert [entry.group_id for entry in entries] == sorted(
        keys, key=lambda group_id: plan.number(keys[group_id])
    )
    assert set(keys) == {group.group_id for group in GROUPS if group.verdict == PASS}
    # A smaller share draws the first ones of a larger one, and the plan stays.
    for share in (0.3, 0.6, 0.3):
        smaller = _queue(Index(run_dir, audit_share=share))
        drawn = [entry.group_id for entry in smaller.page("李工")]
        assert drawn == [g for g in (e.group_id for e in entries) if plan.number(keys[g]) < share]
        assert smaller.progress("李工").groups == len(drawn)
    assert _queue(Index(run_dir)).plan.share == 0.3
    assert _queue(Index(run_dir)).plan.seed == plan.seed


def test_an_index_follows_the_plan_of_its_run(run_dir: Path) -> None:
    first = Index(run_dir, audit_share=0.5)
    made = first.path.stat().st_mtime_ns
    assert Index(run_dir, audit_share=0.9).path.stat().st_mtime_ns == made
    tickets = [entry.ticket for entry in _queue(Index(run_dir, audit_share=1.0)).page("李工")]
    audit_file(run_dir).unlink()
    assert Index(run_dir).audit is None
    again = Index(run_dir, audit_share=1.0)
    assert not {entry.ticket for entry in _queue(again).page("李工")} & set(tickets)
    audit_file(run_dir).write_text("{}", encoding="utf-8")
    with pytest.raises(Exception, match="is no plan of an audit"):
        Index(run_dir)


def _masked(text: str, index: Index) -> str:
    """Leave out what may differ between runs without telling anything."""
    for rank, entry in enumerate(_queue(index).page("", count=99)):
        text = text.replace(entry.ticket, f"ticket-{rank}")
    return re.sub(r'(name="shown" value="|draft=")[0-9a-f ]+', r"\1", text)


def _tour(client: TestClient, index: Index) -> list[str]:
    """Collect everything that the pages of the audit answer."""
    answers = [client.get("/audit")]
    tickets = [entry.ticket for entry in _queue(index).page("李工")]
    for ticket in tickets[:4]:
        address = f"/audit/{ticket}"
        answers += [client.get(address), client.get(f"{address}/photo/1/small.jpg")]
        form = _form(client, ticket, comment="看过")
        json = {"Accept": "application/json"}
        answers += [
            client.post(address, data=form | {"shown": "x"}),
            client.post(address, data=form | {"comment": "未拧紧"}),
            client.post(address, data=form | {"comment": "未拧紧"}, headers=json),
            client.post(address, data=form | {"line-图片_1": "螺丝/生锈", "choice": FAIL}),
            client.get(address),
            client.post(address, data=form),
            client.post("/undo?queue=audit"),
            client.post(address, data=_form(client, ticket), headers=json),
        ]
    answers += [
        client.get("/audit?after=2"),
        client.get(answers[-2].headers.get("location", "/audit")),
    ]
    texts = []
    for answer in answers:
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in ("content-length", "etag")
        }
        body = answer.text if "image" not in headers.get("content-type", "") else ""
        texts.append(_masked(f"{answer.status_code} {headers} {body}", index))
    return texts


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_that_is_hidden_changes_what_pages_answer(
    tmp_path: Path, demo_photos: list[Path], language: str
) -> None:
    """Two runs that differ in all that must not be told, with the same photos and draws."""
    tours = []
    others: list[Mapping[str, Any]] = [
        {},
        {"p_pass": 0.9, "reason": "别的", "line": "无关图片", "raw": "", "log_odds": None}
        | {"evidence": None, "extra": {}},
    ]
    for number, changes in enumerate(others):
        # Labels are the same: they are part of the key, and so of the draw.
        groups = [group._replace(label=None, **changes) for group in GROUPS[:9]]
        folder = write_run(tmp_path / str(number) / "run", groups, demo_photos[:2])
        if number:
            write_captions(folder, demo_photos[:1])
        plan = AuditPlan(seed="7", share=1.0, timestamp="")
        audit_file(folder).parent.mkdir()
        audit_file(folder).write_text(plan.to_json(), encoding="utf-8")
        index = Index(folder)
        for entry in _queue(index).page("", count=3)[:: 2 if number else 1]:
            _decide_openly(index, entry.group_id, "王工", choice=PASS if number else FAIL)
        with _client(index) as client:
            client.cookies.set("language", language)
            tours.append(_tour(client, index))
    assert tours[0] == tours[1]
    assert len(tours[0]) > 30


def test_no_secret_is_told(client: TestClient, index: Index) -> None:
    for group in GROUPS[:9]:
        _decide_openly(index, group.group_id, "王工")
    for answer in _tour(client, index):
        assert not (match := SECRETS.search(answer)), (match, answer)


def test_a_decision_holds_the_share_and_counts_whatever_follows(
    client: TestClient, index: Index, run_dir: Path
) -> None:
    first, second, *_ = _queue(index).page("李工")
    answer = client.post(f"/audit/{first.ticket}", data=_form(client, first.ticket, choice=FAIL))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/audit/{second.ticket}")
    (decision,) = index.decisions.trail()
    assert (decision.group_id, decision.audit, decision.version) == (first.group_id, 1.0, 1)
    assert decision.overrules
    _decide_openly(index, first.group_id, "王工", choice=PASS)
    assert [d.audit for d in index.decisions.all_current()] == [None]
    assert [d for d, _ in index.decisions.audited()] == [decision]
    smaller = Index(run_dir, audit_share=0.97)
    with _client(smaller) as later:
        waiting = _queue(smaller).following("李工")
        assert waiting is not None
        later.post(f"/audit/{waiting.ticket}", data=_form(later, waiting.ticket))
    assert [blind.decision.audit for blind in index.decisions.audited()] == [1.0, 0.97]


def test_nobody_decides_blind_what_was_decided_before(client: TestClient, index: Index) -> None:
    first, second, third, *_ = _queue(index).page("李工")
    _decide_openly(index, second.group_id, "李工")
    form = _form(client, first.ticket)
    other = _client(index, "王工")
    others_form = _form(other, first.ticket)
    answer = client.post(f"/audit/{first.ticket}", data=form)
    # What he has decided openly is passed over, and left to others.
    assert answer.headers["location"] == f"/audit/{third.ticket}"
    assert _states(index)[second.group_id] == "seen"
    assert _states(index, "王工")[second.group_id] == "open"
    assert _queue(index).progress("李工") == (9, 1, 0, 1)
    assert _queue(index).progress("王工") == (9, 1, 0, 0)
    page = client.get(f"/audit/{second.ticket}").text
    assert 'id="closed"' in page
    assert 'name="choice"' not in page.split("<template")[0]
    stale = {"shown": "0", "choice": PASS}
    answer = client.post(f"/audit/{second.ticket}", data=stale)
    assert f"/audit/{third.ticket}?told=blind_seen" in answer.headers["location"]
    # What somebody else has decided meanwhile is told to nobody.
    answer = other.post(f"/audit/{first.ticket}", data=others_form | {"choice": FAIL})
    assert f"/audit/{second.ticket}?told=blind_decided" in answer.headers["location"]
    assert len(index.decisions.trail()) == 2
    # An open decision that was taken back was made with the verdict in sight all the same.
    index.decisions.undo("李工")
    index.decisions.undo("李工")
    assert _states(index)[second.group_id] == "seen"
    assert _states(index)[first.group_id] == "open"


def test_a_page_decides_only_what_it_shows(client: TestClient, index: Index) -> None:
    first, *_ = _queue(index).page("李工")
    form = _form(client, first.ticket, comment="很长的说明")
    assert client.post(f"/audit/{first.ticket}", data=form).status_code == 303
    assert "told=undone" in client.post("/undo?queue=audit").headers["location"]
    # The page from before, by the back button.
    answer = client.post(f"/audit/{first.ticket}", data=form)
    assert answer.status_code == 409
    assert "很长的说明" in answer.text
    _decide_openly(index, first.group_id, "王工")
    form = _form(client, first.ticket)
    _decide_openly(index, first.group_id, "王工", choice=PASS)
    assert client.post(f"/audit/{first.ticket}", data=form).status_code == 409
    assert client.post(f"/audit/{first.ticket}", data=_form(client, first.ticket)).is_redirect
    ((decision, _),) = index.decisions.audited()
    assert (decision.reviewer, decision.version) == ("李工", 5)


def test_what_was_deferred_can_be_decided_again(client: TestClient, index: Index) -> None:
    tickets = [entry.ticket for entry in _queue(index).page("李工")]
    for ticket in tickets:
        location = client.post(
            f"/audit/{ticket}", data=_form(client, ticket, choice="待定")
        ).headers["location"]
    assert location.startswith("/audit?told=blind_end")
    assert _queue(index).progress("李工") == (9, 0, 9, 0)
    form = _form(client, tickets[0], choice=FAIL)
    assert client.post(f"/audit/{tickets[0]}", data=form).status_code == 303
    assert _queue(index).progress("李工") == (9, 1, 8, 0)
    choices = [d.opinion.choice for d, _ in index.decisions.audited() if d.opinion]
    assert sorted(choices) == ["不通过", *["待定"] * 8]


def test_a_label_that_was_called_wrong_stays_so(client: TestClient, index: Index) -> None:
    (entry, *_) = [e for e in _queue(index).page("李工") if e.group_id in ("QC-01", "QC-04")]
    _decide_openly(index, entry.group_id, "王工", choice=PASS, label_wrong=True)
    client.post(f"/audit/{entry.ticket}", data=_form(client, entry.ticket))
    (decision,) = index.decisions.all_current()
    assert decision.audit == 1.0
    assert decision.opinion == Opinion(choice=PASS, label_wrong=True)


def test_what_is_no_page_of_the_audit(client: TestClient, index: Index, run_dir: Path) -> None:
    tickets = [entry.ticket for entry in _queue(index).page("李工")]
    for address in (
        *("/audit/1", f"/audit/{'0' * 32}", f"/audit/{tickets[0].upper()}", "/audit/%00"),
        *(f"/audit/{tickets[0]}/photo/{n}/small.jpg" for n in ("0", "3", "x", 2**70)),
        *(f"/audit/{tickets[0]}/overlay/1/small.jpg", f"/audit/{tickets[0]}/photo/1/huge.jpg"),
    ):
        assert client.get(address).status_code in (400, 404), address
    for form in ({}, {"choice": "a"}, {"choice": "pass"}, {"choice": PASS, "fault": "\0"}):
        assert client.post(f"/audit/{tickets[0]}", data=form).status_code == 400
    assert client.post(f"/audit/{'0' * 32}", data={"choice": PASS}).status_code == 404
    # A smaller share no longer draws the last ones.
    smaller = Index(run_dir, audit_share=0.01)
    with _client(smaller) as other:
        assert other.get(f"/audit/{tickets[-1]}").status_code == 404
        assert other.post(f"/audit/{tickets[-1]}", data={"choice": PASS}).status_code == 404
    nobody = _client(index, None)
    answer = nobody.post(f"/audit/{tickets[0]}", data={"choice": PASS, "shown": ""})
    assert answer.headers["location"] == "/name"
    assert index.decisions.trail() == []


@pytest.mark.parametrize("share", ["0", "-0.1", "1.01", "nan", "inf"])
def test_shares_that_are_none(
    run_dir: Path, share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["review", str(run_dir), "--export", str(run_dir / "out"), "--audit-share", share])
    assert left.value.code == 2
    assert "--audit-share" in capsys.readouterr().err
    assert not audit_file(run_dir).exists()


def test_the_command_says_what_is_drawn(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--audit-share", "1"], []):
        with pytest.raises(SystemExit):
            main(["review", str(run_dir), "--export", str(tmp_path / "out"), *options])
        assert "blind audit: 9 groups drawn (1 of those passed)" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["review", str(tmp_path / "nothing"), "--audit-share", "0.5"])
    assert left.value.code == 2
    assert not (tmp_path / "nothing").exists()


@pytest.fixture
def server(run_dir: Path) -> Iterator[Served]:
    with served(run_dir, "--reviewer", "李工", "--audit-share", "1") as running:
        yield running


def _go_on(page: Page, key: str) -> None:
    with page.expect_navigation():
        page.keyboard.press(key)


def test_an_audit_in_a_browser(page: Page, run_dir: Path) -> None:
    page.goto("/")
    page.click("nav a:has-text('盲审')")
    page.wait_for_load_state()
    order = page.locator(".queue b").all_text_contents()
    page.click(".begin")
    page.wait_for_load_state("networkidle")
    expect(page.locator("h1")).to_contain_text(order[0])
    assert page.locator("#stage img").evaluate_all("all => all.every(i => i.naturalWidth > 300)")
    expect(page.locator(".decide .buttons button")).to_have_text(["通过 1", "不通过 2", "待定 3"])
    here = page.url
    for key in ("a", "o", "b", "z", "+", "o", "a"):  # from z on, the photo is enlarged
        page.keyboard.press(key)
    expect(page.locator("#stage img")).to_have_attribute("src", re.compile("/photo/1/large.jpg"))
    page.keyboard.press("Escape")
    assert page.url == here
    _go_on(page, "1")
    with page.expect_navigation():
        page.click(".decide button.fail")
    _go_on(page, "n")  # passed over
    expect(page.locator("h1")).to_contain_text(order[3])
    page.keyboard.press("c")
    page.keyboard.type("光纤无保护措施")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(page.locator("#ask")).to_contain_text("无保护措施")
    with page.expect_navigation():
        page.click("#ask-pass")
    _go_on(page, "3")
    _go_on(page, "u")
    expect(page.locator("h1")).to_contain_text(order[4])
    expect(page.locator(".told[role=status]")).to_contain_text("已撤销")
    _go_on(page, "2")
    page.go_back()
    page.reload()
    page.keyboard.press("1")  # the page from before: it has been audited
    page.evaluate("0")
    expect(page.locator("#closed")).to_be_visible()
    # In the queue by need, taking back leads to the blind page too.
    page.goto("/group/2")
    _go_on(page, "u")
    assert "/audit/" in page.url
    expect(page.locator("h1")).to_contain_text(order[4])
    _go_on(page, "q")
    assert page.url.endswith("/audit")
    said = {
        d.group_id: d.opinion.choice for d, _ in Index(run_dir).decisions.audited() if d.opinion
    }
    assert said == {order[0]: PASS, order[1]: FAIL, order[3]: PASS}


def test_two_who_audit_the_same_group(page: Page, browser: Browser, server: Served) -> None:
    second = browser.new_context(locale="en-GB", base_url=server.url)
    other = second.new_page()
    other.goto("/name")
    other.fill("#reviewer", "王工")
    other.click("main button")
    other.wait_for_load_state()
    page.goto("/audit")
    page.click(".begin")
    page.wait_for_load_state()
    # The queue would lead past a group that somebody has open; its address does not.
    other.goto(page.url)
    expect(other.locator("#held")).to_contain_text("李工")
    _go_on(page, "2")
    _go_on(other, "1")
    told = other.locator(".told[role=status]")
    expect(told).to_contain_text("has been audited already")
    text = other.locator("body").inner_text()
    assert "李工" not in text
    assert text.count("不通过") == 1  # the button
    second.close()


def test_a_server_that_is_killed_keeps_what_it_has_acknowledged(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    groups = [Group(f"QC-{n:03d}") for n in range(60)]
    folder = write_run(tmp_path / "run", groups, demo_photos[:1])
    acknowledged: list[str] = []

    def work(url: str, limit: int, pid: int = 0) -> None:
        client = Client(url)
        headers = {"Origin": f"http://{client.host}", "Accept": "application/json"}
        while True:
            page = client.send("GET", "/audit")[2].decode()
            if 'class="begin"' not in page:
                return
            ticket = page.split('class="begin" href="/audit/')[1].split('"')[0]
            text = client.send("GET", f"/audit/{ticket}")[2].decode()
            shown = text.split('name="shown" value="')[1].split('"')[0]
            form = {"shown": shown, "choice": FAIL}
            try:
                if len(acknowledged) == limit:
                    os.kill(pid, signal.SIGKILL)
                assert client.send("POST", f"/audit/{ticket}", headers, **form)[0] == 200
            except (OSError, http.client.HTTPException):
                return
            acknowledged.append(ticket)

    options = ("--reviewer", "李工", "--audit-share", "1")
    with served(folder, *options, shenhe=COLD) as running:
        work(running.url, 25, running.process.pid)
    index = Index(folder)
    kept = {e.ticket for e in _queue(index).page("", count=99) if e.state == "decided"}
    assert len(acknowledged) == 25
    assert kept >= set(acknowledged)
    assert len(kept) <= 26
    with served(folder, "--reviewer", "李工") as running:
        work(running.url, -1)
    assert _queue(index).progress("李工") == (60, 60, 0, 0)
    assert [blind.decision.audit for blind in index.decisions.audited()] == [1.0] * 60


def test_plans_tell_nothing_in_addresses() -> None:
    plan = AuditPlan(seed="7", share=0.1, timestamp="")
    tickets = {plan.ticket(f"g{n}") for n in range(1000)}
    assert len(tickets) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", ticket) for ticket in tickets)
    other = plan.model_copy(update={"seed": "8"})
    assert not tickets & {other.ticket(f"g{n}") for n in range(1000)}


def test_a_plan_is_made_once(tmp_path: Path) -> None:
    first = plan_audit(tmp_path, 0.05)
    assert plan_audit(tmp_path, 0.05) == first
    assert plan_audit(tmp_path, 0.1).seed == first.seed
