"""Decisions on groups that have moved to another label folder since, with the same photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.promise.audit_rows import read_looks
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.export import EXPORTS, make_export
from shenhe.review.index import Filters, QueueEntry
from shenhe.rows.audits import AuditPlan, audit_file
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.outcomes import read_decided_labels
from shenhe.team import Drawn, SecondOpinions
from tests.runs.test_runs import MISSION, Case
from tests.team.crew import Clock, add, people_of, sign_in

Make = Callable[..., Path]
HERE = "http://127.0.0.1:8765"
PROMPTING = Prompting(load_missions(), load_prompts())
PASSED, FAILED = "审核通过", "审核不通过"
FOLDERS = {"pass": PASSED, "fail": FAILED}


def _move(case: Case, before: str = PASSED, after: str = FAILED, group_id: str = "g1") -> None:
    """Move a group to another label folder, and run again."""
    mission = case.tree / MISSION.name
    (mission / after).mkdir(exist_ok=True)
    (mission / before / group_id).rename(mission / after / group_id)
    case.run()


def _entry(index: Index, group_id: str = "g1") -> QueueEntry:
    (entry,) = (entry for entry in index.page(Filters()) if entry.group_id == group_id)
    return entry


def _decide(case: Case, choice: str = "不通过", who: str = "李工", **fields: object) -> Decision:
    index = Index(case.out)
    entry = _entry(index)
    version = index.history(entry).version + 1
    opinion = Opinion.model_validate({"choice": choice} | fields)
    return index.decisions.add(Decision.on(entry, opinion, who, version))


def _client(index: Index) -> TestClient:
    app = create_app(Review("run", index, PROMPTING), reviewer="李工")
    return TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)


def _form(page: str, form: str) -> dict[str, str]:
    """Read the hidden fields of a form of a page."""
    part = page.split(form, 1)[1].split("</form>")[0]
    fields = part.split('<input type="hidden" name="')[1:]
    return {each.split('"')[0]: each.split('value="')[1].split('"')[0] for each in fields}


def _open(index: Index) -> list[str]:
    return sorted(entry.group_id for entry in index.page(Filters(state="open")))


def test_the_queue_and_the_sheets_agree(case: Case) -> None:
    before = _decide(case, comment="图片_1未拧紧", label_wrong=True)
    opened = Index(case.out)
    assert _entry(opened).label == "pass"
    _move(case)
    index = Index(case.out)
    entry = _entry(index)
    assert (entry.label, entry.choice, entry.reviewer) == ("fail", "不通过", "李工")
    assert (entry.overrules, entry.decision, entry.at) == (True, before.number, before.at)
    assert _open(index) == ["g2"]
    assert index.progress(Filters()) == (2, 1, 1)
    assert index.count_matching(Filters(state="decided")) == 1
    assert index.count_outdated() == 0
    # Whether the former label is wrong says nothing of this one.
    assert index.progress(Filters(queue="labels")).overruled == 0
    assert read_decided_labels(case.out) == {entry.key: "fail"}
    assert make_export("decisions.jsonl", index, PROMPTING).rows == 1
    with _client(index) as client:
        page = client.get(f"/group/{entry.number}").text
        assert 'id="current"' in page
        assert "图片_1未拧紧" in page
        assert client.get("/find", params={"key": before.key}).headers["location"] == (
            f"/group/{entry.number}"
        )


def test_a_tick_does_not_wipe_out_what_was_said_under_the_former_label(case: Case) -> None:
    _decide(case, faults=["未拧紧"])
    _move(case)
    index = Index(case.out)
    with _client(index) as client:
        look = client.get("/bulk", params={"pick": _entry(index).number}).text
        form = _form(look, 'action="/bulk') | {"choice": "通过", "take-0": "on"}
        key = {name: value for name, value in form.items() if name.startswith("key-")}
        assert list(key.values()) == [_entry(index).key]
        assert client.post("/bulk", data=form).status_code == 409
    assert _entry(Index(case.out)).choice == "不通过"


def test_it_is_taken_back_from_the_page_of_the_group(case: Case) -> None:
    _decide(case)
    _move(case)
    index = Index(case.out)
    number = _entry(index).number
    with _client(index) as client:
        undone = client.post("/undo", data={})
        assert undone.headers["location"].startswith(f"/group/{number}?")
    assert _entry(index).choice is None
    assert _open(index) == ["g1", "g2"]
    assert [change.number for change in index.changes(1)] == [number]
    assert read_decided_labels(case.out) == {}


def test_the_later_decision_counts(case: Case) -> None:
    _decide(case, "不通过")
    _move(case)
    index = Index(case.out)
    address = f"/group/{_entry(index).number}"
    with _client(index) as client:  # which has looked before anything else is decided
        form = _form(client.get(address).text, 'id="decide"')
        assert form["version"] == "0"
        assert client.post(address, data=form | {"choice": "通过"}).status_code == 303
    key = _entry(index).key
    assert _entry(index).choice == "通过"
    assert read_decided_labels(case.out) == {key: "pass"}
    with _client(index) as client:
        assert "不通过" in client.get(address).text.split('class="history"')[1]
    # Taken back, it leaves what was said before.
    index.decisions.undo("李工")
    assert (_entry(index).choice, _open(index)) == ("不通过", ["g2"])
    assert read_decided_labels(case.out) == {key: "fail"}
    # A decision under the other label is later than the one of this label, once it is back.
    _decide(case, "通过", "王工")
    _move(case, FAILED, PASSED)
    index = Index(case.out)
    assert (_entry(index).label, _entry(index).choice) == ("pass", "通过")
    assert read_decided_labels(case.out) == {_entry(index).key: "pass"}
    assert [decision.reviewer for decision in index.current_decisions()] == ["王工"]
    for name in EXPORTS:
        assert make_export(name, index, PROMPTING).rows <= 1, name
    assert index.progress(Filters()) == (2, 1, 0)


def test_what_is_decided_while_the_queue_is_open_is_followed(case: Case) -> None:
    first = _decide(case, "不通过", "王工")
    _move(case)
    index, other = Index(case.out), Index(case.out)
    assert _entry(index).choice == "不通过"
    other.decisions.undo("王工", first.number)
    assert _entry(index).choice is None
    other.decisions.undo("王工", first.number)  # nothing is left to take back
    entry = _entry(other)
    other.decisions.add(Decision.on(entry, Opinion(choice="待定"), "王工"))
    assert (_entry(index).choice, index.last_decision()) == ("待定", 3)
    assert [row.version for row in index.history(entry).rows] == [1, 2, 1]


def test_an_undo_that_lets_an_earlier_one_hold_again_is_signed_by_its_author(case: Case) -> None:
    _decide(case, "不通过", "李工")
    _decide(case, "通过", "王工")
    Index(case.out).decisions.undo("王工")
    _move(case)
    index = Index(case.out)
    assert (_entry(index).choice, _entry(index).reviewer) == ("不通过", "李工")
    _decide(case, "通过", "王工")
    assert _entry(index).reviewer == "王工"
    index.decisions.undo("王工")
    assert (_entry(index).choice, _entry(index).reviewer) == ("不通过", "李工")


def test_photos_that_have_changed_with_the_move_are_told_of(case: Case) -> None:
    _decide(case, "通过")
    photo = case.tree / MISSION.name / PASSED / "g1" / "img-2.jpg"
    content = bytearray(photo.read_bytes())
    content[-3] ^= 1
    photo.write_bytes(content)
    _move(case)
    index = Index(case.out)
    assert _entry(index).choice is None
    assert index.count_outdated() == 1
    with _client(index) as client:
        client.cookies.set("language", "en")
        page = client.get(f"/group/{_entry(index).number}").text
    assert "The photos have changed since" in page
    assert 'id="current"' not in page


def test_of_two_labels_of_one_id_none_is_taken(case: Case, make_group: Make) -> None:
    _decide(case)
    _move(case)
    make_group("g1", "img-1.jpg", "img-2.jpg", label="")
    case.run()
    index = Index(case.out)
    assert [entry.choice for entry in index.page(Filters())] == [None] * 3
    assert index.progress(Filters()) == (3, 0, 0)


def _draws(seed: str, case: Case, group_id: str, label: str) -> float:
    key = "\x1f".join((MISSION.name, label, group_id))
    return AuditPlan(seed=seed, share=1.0, timestamp="").number(key)


def test_what_an_audit_found_bad_stays_found_when_it_is_moved_for_it(case: Case) -> None:
    # The former key stands before g2's, the later one behind it: it would count g2 as passed over.
    seed = next(
        seed
        for seed in map(str, range(1000))
        if _draws(seed, case, "g1", "pass")
        < _draws(seed, case, "g2", "fail")
        < _draws(seed, case, "g1", "fail")
    )
    audit_file(case.out).parent.mkdir()
    plan = AuditPlan(seed=seed, share=1.0, timestamp="")
    audit_file(case.out).write_text(plan.to_json() + "\n", "utf-8")
    index = Index(case.out)
    assert index.audit is not None
    entry = _entry(index)
    index.decisions.add(Decision.on(entry, Opinion(choice="不通过"), "李工", audit=1.0))
    (looks,) = read_looks([case.out]).looks
    assert (looks.passed, looks.looked, looks.false, looks.doubts) == (2, 1, 1, 0)
    _move(case)
    (looks,) = read_looks([case.out]).looks
    assert (looks.passed, looks.looked, looks.false, looks.doubts) == (2, 1, 1, 0)
    # Nobody is asked about it again.
    index = Index(case.out)
    assert index.audit is not None
    states = {each.group_id: each.state for each in index.audit.page("王工")}
    assert states == {"g1": "decided", "g2": "open"}
    assert index.audit.progress("王工") == (2, 1, 0, 0)


def test_who_has_decided_it_openly_does_not_judge_it_blind_under_another_label(case: Case) -> None:
    _decide(case, "通过", "李工")
    _move(case)
    index = Index(case.out, audit_share=1.0)
    assert index.audit is not None
    states = {each.group_id: each.state for each in index.audit.page("李工")}
    assert states == {"g1": "seen", "g2": "open"}
    assert index.audit.progress("李工") == (2, 0, 0, 1)
    assert {each.state for each in index.audit.page("王工")} == {"open"}


def test_two_opinions_that_differ_wait_for_a_lead_under_another_label(case: Case) -> None:
    first = _decide(case, "通过")
    index = Index(case.out)
    people = people_of(index.database, Clock())
    add(people, "主任", role="lead")
    add(people, "李工", "王工")
    opinions = SecondOpinions(index.database)
    opinions.plan(1.0, "all")
    told = Opinion(choice="不通过", comment="看不清")
    opinions.add(_entry(index), told, "王工", 1, Drawn(first, 1.0))
    _move(case)
    index = Index(case.out)
    app = create_app(Review("run", index, PROMPTING), people=people_of(index.database, Clock()))
    assert index.second is not None
    (pair,) = index.second.pairs()
    assert (pair.is_disputed, pair.stands, pair.second.key) == (True, True, _entry(index).key)
    assert index.second.pairs(_entry(index).key) == [pair]
    assert index.second.pairs(first.key) == []
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as lead:
        assert sign_in(lead, "主任") == 303
        number = _entry(index).number
        page = lead.get("/team/disagreements").text
        assert "看不清" in page
        assert f"/group/{number}" in page
        page = lead.get(f"/group/{number}").text
        assert 'id="dispute"' in page
        form = _form(page, 'id="decide"') | {"choice": "不通过"}
        assert lead.post(f"/group/{number}", data=form).status_code == 303
        assert 'id="dispute"' not in lead.get(f"/group/{number}").text
    (decision,) = index.current_decisions()
    assert decision.opinion is not None
    assert decision.opinion.adjudicates is not None
    assert decision.opinion.adjudicates.first == first.number
    assert not any(pair.is_disputed for pair in index.second.pairs())
