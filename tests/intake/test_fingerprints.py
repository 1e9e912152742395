"""Fingerprints of photos: the parts that are compared."""

from __future__ import annotations

from shenhe.rows.fingerprints import untimed


def test_times_are_ignored_with_known_contents() -> None:
    assert untimed("names.times.held") == untimed("names.later.held") == "names.held"
    assert untimed("names.times.held") != untimed("names.times.other")
    assert untimed("names.times.held") != untimed("others.times.held")


def test_times_or_tags_are_compared_with_unknown_contents() -> None:
    assert untimed("names.tags.-") != untimed("names.others.-")
    assert untimed("names.tags.-") != untimed("names.tags.held")
