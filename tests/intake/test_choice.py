"""Samples of groups: balanced, the same whatever the order, stable when groups are added."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import OptionError
from shenhe.intake import GroupChoice
from shenhe.intake.choice import in_proportion
from shenhe.intake.tree import GroupId
from shenhe.rows.group_names import GroupNames
from shenhe.values import Label, group_key
from tests.conftest import MISSION

LABELS: tuple[Label | None, ...] = ("pass", "fail", None)


def _tree(passed: int, failed: int, unlabelled: int = 0) -> list[GroupId]:
    counts = zip(LABELS, (passed, failed, unlabelled), strict=True)
    return [GroupId(label, f"QC-{n}") for label, count in counts for n in range(count)]


def _labels(keys: frozenset[str] | None) -> Counter[str]:
    assert keys is not None
    return Counter(key.split("\x1f")[1] for key in keys)


def test_so_many_failed_groups_among_so_many() -> None:
    chosen = GroupChoice(1000, 200, seed=7).choose(_tree(3500, 560), MISSION)
    assert _labels(chosen.keys) == {"pass": 800, "fail": 200}
    assert chosen.total == 1000
    assert chosen.describe() == (
        f"{MISSION}: a sample of 1000 groups: 800 of 3,500 passed, 200 of 560 failed"
    )


def test_in_proportion_to_the_labels() -> None:
    chosen = GroupChoice(100).choose(_tree(3500, 560, 40), MISSION)
    assert _labels(chosen.keys) == {"pass": 85, "fail": 14, "": 1}
    # One of each label that is there, though its share is less than half a group.
    few = GroupChoice(10).choose(_tree(3500, 2), MISSION)
    assert _labels(few.keys) == {"pass": 9, "fail": 1}


def test_the_order_of_the_listing_does_not_matter() -> None:
    groups = _tree(300, 40, 20)
    choice = GroupChoice(50, 10, seed=3)
    keys = choice.choose(groups, MISSION).keys
    random.Random(1).shuffle(groups)
    assert choice.choose(groups, MISSION).keys == keys
    assert GroupChoice(50, 10, seed=4).choose(groups, MISSION).keys != keys
    # The width of a mission's brackets does not, either.
    narrow = GroupChoice(50, 10, seed=3).choose(groups, "BBU安装方式检查(正装)").keys
    wide = GroupChoice(50, 10, seed=3).choose(groups, "BBU安装方式检查（正装）").keys
    assert narrow is not None
    assert wide is not None
    assert {key.split("\x1f", 1)[1] for key in narrow} == {key.split("\x1f", 1)[1] for key in wide}


def test_a_larger_sample_holds_a_smaller_one_and_a_new_group_changes_one() -> None:
    groups = _tree(300, 60)
    small = GroupChoice(20, 10).choose(groups, MISSION).keys
    large = GroupChoice(80, 40).choose(groups, MISSION).keys
    assert small is not None
    assert large is not None
    assert small < large
    for number in range(30):
        grown = (
            GroupChoice(80, 40).choose([*groups, GroupId("pass", f"new-{number}")], MISSION).keys
        )
        assert grown is not None
        assert len(large - grown) <= 1


def test_groups_with_rows_stay_in_the_sample() -> None:
    groups = _tree(100, 20)
    first = GroupChoice(10, 2).choose(groups, MISSION).keys
    assert first is not None
    more = [*groups, *_tree(0, 0, 0), *(GroupId("pass", f"new-{n}") for n in range(500))]
    assert GroupChoice(10, 2).choose(more, MISSION).keys != first
    assert GroupChoice(10, 2).choose(more, MISSION, done=first).keys == first


def test_fewer_groups_than_asked_for_are_told() -> None:
    choice = GroupChoice(1000, 200)
    chosen = choice.choose(_tree(3500, 11), MISSION)
    assert _labels(chosen.keys) == {"pass": 800, "fail": 11}
    assert choice.shortage(chosen) == (
        f"{MISSION}: 11 failed groups are there, 200 were asked for: all of them are taken"
    )
    chosen = choice.choose(_tree(500, 11), MISSION)
    assert chosen.total == 511
    assert "200 were asked for and 500 other groups are there, 800" in choice.shortage(chosen)
    choice = GroupChoice(1000)
    assert "511 groups are there, 1000 were" in choice.shortage(
        choice.choose(_tree(500, 11), MISSION)
    )
    assert GroupChoice(5).choose([], MISSION).total == 0
    assert choice.shortage(choice.choose(_tree(990, 10), MISSION)) == ""


def test_samples_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="--sample-failed 5: say how many in all"):
        GroupChoice(sample_failed=5)
    with pytest.raises(OptionError, match="more than the whole sample, which is 4"):
        GroupChoice(4, 5)
    assert GroupChoice(5, 5).choose(_tree(9, 9), MISSION).taken["pass"] == 0
    assert GroupChoice(5, 0).choose(_tree(9, 9), MISSION).taken["fail"] == 0


def test_excluded_groups_are_in_no_sample() -> None:
    exclude = GroupNames([f"QC-{n}::fail" for n in range(15)])
    chosen = GroupChoice(20, 5, exclude=exclude).choose(_tree(20, 20), MISSION)
    assert chosen.excluded == 15
    assert {key for key in chosen.keys or () if "\x1ffail\x1f" in key} == {
        group_key(MISSION, "fail", f"QC-{n}") for n in range(15, 20)
    }
    everything = GroupChoice(exclude=exclude).choose(_tree(20, 20), MISSION)
    assert everything.keys is None
    assert group_key(MISSION, "fail", "QC-1") not in everything
    assert group_key(MISSION, "pass", "QC-1") in everything


@given(
    st.integers(0, 60),
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)),
)
def test_shares_add_up(count: int, available: tuple[int, int, int]) -> None:
    there = dict(zip(LABELS, available, strict=True))
    shares = in_proportion(count, there)
    assert shares.total() == min(count, sum(available))
    assert all(0 <= shares[label] <= there[label] for label in LABELS)
    labels = [label for label in LABELS if there[label]]
    if count >= len(labels):
        assert all(shares[label] for label in labels)
