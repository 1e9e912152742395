"""Assignments: whose groups are whose, and how few move when one more person comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.errors import ConfigError
from shenhe.team import open_database
from shenhe.team.assignments import (
    Assignments,
    AssignmentStore,
    load_assignments,
    read_assignments,
)
from shenhe.team.events import Events
from shenhe.team.shares import BUCKETS, bucket_of, buckets_of

RULES = Assignments("区域", {"m": ("李工",)}, {"东": ("李工", "王工")}, ("张工",))


def test_one_more_person_moves_only_what_he_takes() -> None:
    three, four = ["李工", "王工", "张工"], ["张工", "赵工", "李工", "王工"]
    before = {name: set(buckets_of(name, three)) for name in three}
    after = {name: set(buckets_of(name, four)) for name in four}
    assert sum(map(len, after.values())) == BUCKETS
    assert set().union(*after.values()) == set(range(BUCKETS))
    assert all(after[name] < before[name] for name in three)
    assert all(0.9 < len(after[name]) / (BUCKETS / 4) < 1.1 for name in four)
    assert buckets_of("nobody", three) == ()
    counts = [0] * 10
    for number in range(5000):
        counts[bucket_of(f"QC-{number}") // 1000] += 1
    assert all(400 < count < 600 for count in counts)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_rules_are_kept_and_told(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    url = request.getfixturevalue("shared_url") if kind == "postgresql" else ""
    database = open_database(tmp_path, url)
    store = AssignmentStore(database)
    assert store.read().is_empty
    for _ in range(2):
        store.write(RULES, "主任")
    assert store.read() == RULES
    assert read_assignments(RULES.to_json()) == RULES
    (event,) = (e for e in Events(database).all() if e.kind == "assignments_changed")
    assert event.actor == "主任"
    assert "张工" in str(event.detail["rules"])
    database.close()


def test_rules_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        'region_field = "区域"\nshare = ["张工"]\n[missions]\nm = ["李工"]\n'
        '[regions]\n"东" = ["李工", "王工"]\n',
        "utf-8",
    )
    names = ["李工", "王工", "张工"]
    assert load_assignments(path, names) == RULES
    with pytest.raises(ConfigError, match="张工: there is no such account"):
        load_assignments(path, names[:2])
    path.write_text('region_field = " 区 域 "\n[missions]\n"检查(一)" = ["李工"]', "utf-8")
    rules = load_assignments(path, names, ["检查（一）"])
    assert rules == Assignments("区 域", {"检查（一）": ("李工",)})


@pytest.mark.parametrize(
    "text",
    [
        *("shares = []", 'share = "李工"', "{", '[missions]\nm = "李工"', "regions = 1"),
        *("region_field = 5", "region_field = 1979-05-27", f'region_field = "{"x" * 201}"'),
        *("missions = []", "[[missions]]", "share = [1979-05-27]", "share = [[[]]]"),
        *("share = [nan]", "[missions.m]\nx = []", f"share = {'[' * 5000}", "#" * 1_000_001),
        '[missions]\n"检查(一)" = ["李工"]\n"检查（一）" = ["王工"]',
    ],
)
def test_rules_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"^/.*: ") as caught:
        load_assignments(path, ["李工", "王工"], ["检查（一）"])
    assert len(str(caught.value)) < 600
