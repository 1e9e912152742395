"""Holds of groups: of those who ask at once each gets another, and a hold ends by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shenhe.database import Database
from shenhe.review.holding import take_next
from shenhe.rows.decisions import Decisions
from shenhe.team import Claims, open_database

Make = Callable[..., Claims]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = request.getfixturevalue("shared_url") if request.param == "postgresql" else ""
    database = open_database(tmp_path, url)
    yield database
    database.close()


def test_a_group_is_held_by_one_until_it_is_let_go(database: Database) -> None:
    claims = Claims(database)
    assert claims.take("g1", "李工") == claims.take("g1", "李工") == ""
    assert claims.take("g1", "王工") == "李工"
    assert claims.take("g2", "王工") == ""
    assert claims.held() == {"g1": "李工", "g2": "王工"}
    assert claims.held(but="李工") == {"g2": "王工"}
    claims.release("g1", "王工")  # it is not theirs
    assert claims.take("g1", "赵工") == "李工"
    claims.release("g1", "李工")
    assert claims.take("g1", "赵工") == ""


def test_a_page_that_was_left_lets_go_of_nothing_that_a_later_one_has(database: Database) -> None:
    claims = Claims(database)
    claims.take("g1", "李工", "first page")
    claims.take("g1", "李工")  # it is opened again
    claims.release("g1", "李工", "first page")
    assert claims.held() == {"g1": "李工"}
    claims.take("g1", "李工", "second page")
    claims.release("g1", "李工", "second page")
    assert claims.held() == {}


def test_a_hold_ends_by_the_clock_of_the_database(database: Database) -> None:
    brief = Claims(database, seconds=0.05)
    brief.take("g1", "李工")
    brief.take("g2", "李工")
    time.sleep(0.06)
    assert brief.held() == {}
    claims = Claims(database)
    assert claims.take("g1", "王工") == ""
    assert claims.take("g1", "李工") == "王工"
    claims.release("g9", "王工")  # also sweeps out what is over
    assert claims.held() == {"g1": "王工"}


class Group:
    def __init__(self, key: str) -> None:
        self.key = key


def test_whoever_asks_at_once_gets_different_groups(database: Database, tmp_path: Path) -> None:
    claims, decisions = Claims(database), Decisions(tmp_path)
    groups = [Group(f"g{number}") for number in range(30)]

    def work(reviewer: str) -> list[str]:
        taken: list[str] = []
        for _ in range(5):
            entry = take_next(
                claims,
                decisions,
                reviewer,
                lambda held: next((g for g in groups if g.key not in {*held, *taken}), None),
            )
            assert entry is not None
            taken.append(entry.key)
        return taken

    with ThreadPoolExecutor(6) as pool:
        taken = [key for keys in pool.map(work, [f"审核人{n}" for n in range(6)]) for key in keys]
    assert sorted(taken) == sorted(group.key for group in groups)


def test_runs_in_one_database_are_apart(database: Database, tmp_path: Path) -> None:
    Claims(database).take("g1", "李工")
    url = database.engine.url.render_as_string(hide_password=False)
    other = open_database(tmp_path / "other", url if database.is_shared else "")
    assert Claims(other).held() == {}
    other.close()
