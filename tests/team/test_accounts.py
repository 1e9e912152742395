"""Accounts, sessions and lockout, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from shenhe.database import Database
from shenhe.team import AccountError, Passwords, People, Refusal, SignedIn, open_database
from shenhe.team.lockout import OF_NAMES
from shenhe.team.sessions import IDLE_SECONDS, WHOLE_SECONDS
from tests.team.crew import PASSWORD, Clock, add, people_of

HERE = "192.0.2.7"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = request.getfixturevalue("database_url") if request.param == "postgresql" else ""
    database = open_database(tmp_path, url)
    yield database
    database.engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(database: Database, clock: Clock) -> People:
    return people_of(database, clock)


def _begin(people: People, name: str, password: str = PASSWORD, address: str = HERE) -> str:
    result = people.sessions.sign_in(name, password, address)
    assert isinstance(result, SignedIn)
    return result.secret


def test_an_account_from_its_link_to_its_end(people: People, clock: Clock) -> None:
    accounts = people.accounts
    assert not accounts.exist()
    with pytest.raises(AccountError, match="first account is a lead's"):
        accounts.add("王工", "inspector", "test")
    secret = accounts.add(" 李 工 ", "lead", "test")
    assert accounts.exist()
    # Nobody signs in without a password, not even with an empty one.
    for password in ("", PASSWORD):
        assert isinstance(people.sessions.sign_in("李 工", password, HERE), Refusal)
    with pytest.raises(AccountError, match="too short"):
        accounts.use_link(secret, "short")
    assert accounts.use_link("another", PASSWORD) is None
    account = accounts.use_link(secret, PASSWORD)
    assert account is not None
    assert (account.name, account.is_lead) == ("李 工", True)
    assert accounts.use_link(secret, "another password") is None
    session = _begin(people, "李 工")
    assert people.sessions.identify(session) == accounts.find("李 工")
    late = accounts.add("王工", "inspector", "李 工")
    clock.now += 4 * 24 * 3600
    assert accounts.use_link(late, PASSWORD) is None
    kinds = [event.kind for event in people.events.all()]
    assert kinds == [
        *("account_added", "refused", "refused", "password_set", "signed_in", "account_added"),
    ]


def test_names_that_look_alike_are_one(people: People) -> None:
    add(people, "Lee", role="lead")
    for name in ("lee", "ＬＥＥ", "Lee\u200b"):
        with pytest.raises(AccountError):
            people.accounts.add(name, "inspector", "test")
    for name in ("", " ", "a\nb", "a\x00b", "a\u202eb", "x" * 81, "a  b", "\ud800"):
        with pytest.raises(AccountError, match="give a name"):
            people.accounts.add(name, "inspector", "test")
    assert isinstance(people.sessions.sign_in("ｌｅｅ", PASSWORD, HERE), SignedIn)


def test_sessions_end(people: People, clock: Clock, database: Database, tmp_path: Path) -> None:
    add(people, "李工", role="lead")
    add(people, "王工")
    accounts, identify = people.accounts, people.sessions.identify
    session = _begin(people, "王工")
    assert identify(session) == accounts.find("王工")
    assert identify("") is identify("x") is identify("\ud800") is None
    for step in range(9):  # used all the time: the whole length counts
        clock.now += IDLE_SECONDS - 1
        assert (identify(session) is not None) == ((step + 1) * (IDLE_SECONDS - 1) < WHOLE_SECONDS)
    session = _begin(people, "王工")
    clock.now += IDLE_SECONDS + 61
    assert identify(session) is None
    ends = (
        lambda: accounts.set_password("王工", "another password", "王工"),
        lambda: accounts.set_active("王工", False, "李工"),
        lambda: accounts.reset("王工", "李工"),
    )
    for end in ends:
        accounts.set_active("王工", True, "李工")
        accounts.set_password("王工", PASSWORD, "test")
        two = [_begin(people, "王工"), _begin(people, "王工")]
        assert all(map(identify, two))
        end()
        assert not any(map(identify, two))
        # Enabling again brings no session back.
        accounts.set_active("王工", True, "李工")
        assert not any(map(identify, two))
    accounts.set_password("王工", PASSWORD, "test")
    session = _begin(people, "王工")
    people.sessions.sign_out(session)
    assert identify(session) is None
    # A session of one run opens no other one.
    session = _begin(people, "王工")
    other = people_of(Database(database.engine, "another", ""), clock)
    assert other.sessions.identify(session) is None
    assert people.sessions.identify(session) is not None


def test_a_role_holds_from_the_next_request(people: People) -> None:
    add(people, "李工", role="lead")
    add(people, "王工")
    session = _begin(people, "王工")
    people.accounts.set_role("王工", "lead", "李工")
    account = people.sessions.identify(session)
    assert account is not None
    assert account.is_lead


def test_a_lead_stays(people: People) -> None:
    add(people, "李工", "王工", role="lead")
    accounts = people.accounts
    with pytest.raises(AccountError, match="no such account"):
        accounts.set_role("nobody", "lead", "test")

    def step_down(name: str) -> bool:
        try:
            accounts.set_role(name, "inspector", name)
        except AccountError as error:
            return error.problem != "last_lead"
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(step_down, ("李工", "王工"))) == [False, True]
    (lead,) = (account.name for account in accounts.list() if account.is_lead)
    with pytest.raises(AccountError, match="last lead"):
        accounts.set_active(lead, False, "test")
    assert sum(event.kind == "role_changed" for event in people.events.all()) == 1


def test_each_further_failure_waits_longer(people: People, clock: Clock) -> None:
    add(people, "李工", role="lead")
    # The same for a name that is nobody's: neither words nor waits tell them apart.
    for name in ("李工", "nobody"):
        waits = [people.sessions.sign_in(name, "wrong", f"198.51.100.{n}") for n in range(6)]
        assert waits == [Refusal(0.0)] * 5 + [Refusal(1.0)]
        refusal = people.sessions.sign_in(name, PASSWORD, "203.0.113.1")
        assert isinstance(refusal, Refusal)
        assert 0 < refusal.wait <= 1
    clock.now += 1
    assert people.sessions.sign_in("李工", "wrong", HERE) == Refusal(2.0)
    clock.now += 2
    _begin(people, "李工")
    assert people.sessions.sign_in("李工", "wrong", HERE) == Refusal(0.0)
    locked = [(event.about, event.actor) for event in people.events.all() if event.kind == "locked"]
    # What was typed as a name and is none may be a password.
    assert locked == [("李工", ""), ("", ""), ("李工", "")]


def test_an_address_is_no_way_around(people: People, clock: Clock) -> None:
    add(people, "李工", "王工", role="lead")
    sign_in = people.sessions.sign_in
    for number in range(31):
        result = sign_in(f"name {number}", "wrong", f"2001:db8::{number:x}")
    assert result == Refusal(1.0)
    assert isinstance(sign_in("王工", PASSWORD, "2001:db8::ffff"), Refusal)
    clock.now += 1
    # An account of one's own clears nothing for guesses at others.
    _begin(people, "王工", address="2001:db8::1")
    assert sign_in("name", "wrong", "2001:db8::2") == Refusal(2.0)
    clock.now += 3600 + 1
    assert sign_in("name", "wrong", "2001:db8::2") == Refusal(0.0)


def test_attempts_at_once_on_several_servers_are_counted(
    people: People, database: Database, clock: Clock
) -> None:
    add(people, "李工", role="lead")
    servers = [people_of(database, clock) for _ in range(3)]

    def attempt(number: int) -> bool:
        result = servers[number % 3].sessions.sign_in("李工", "wrong", f"198.51.100.{number}")
        return isinstance(result, Refusal) and result.wait in (0.0, 1.0)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(attempt, range(24)))
    refused = [event for event in people.events.all() if event.kind == "refused"]
    assert len(refused) == OF_NAMES.free + 1


def test_people_who_come_at_once_are_let_in(
    people: People, database: Database, clock: Clock
) -> None:
    """Whoever began a moment earlier, or at a server whose clock is behind, has nothing to wait."""
    add(people, "李工", "王工", role="lead")
    behind = Clock()
    behind.now = clock.now - 2
    _begin(people, "李工")
    assert people.sessions.sign_in("李工", "wrong", HERE) == Refusal(0.0)
    _begin(people_of(database, behind), "王工")
    _begin(people_of(database, behind), "李工")


def test_no_secret_is_stored(people: People, database: Database) -> None:
    link = people.accounts.add("李工", "lead", "test")
    people.accounts.use_link(link, PASSWORD)
    session = _begin(people, "李工")
    with database.transaction() as connection:
        rows = [
            str(row)
            for table in ("team_accounts", "team_sessions", "team_events", "team_attempts")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    assert len(rows) >= 5
    assert not [row for row in rows if any(s in row for s in (link, session, PASSWORD))]


def test_a_hash_of_earlier_parameters_is_made_anew(people: People, database: Database) -> None:
    add(people, "李工", role="lead")
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    later = People.of(database, stronger, Clock())
    session = _begin(later, "李工")
    with database.transaction() as connection:
        (stored,) = connection.execute(text("SELECT hash FROM team_accounts")).one()
    assert "t=2" in stored
    assert later.sessions.identify(session) is not None
