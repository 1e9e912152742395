"""Fingerprints of photos: the parts that are compared."""

from __future__ import annotations

from shenhe.rows.fingerprints import without_times


def test_times_are_ignored_with_known_contents() -> None:
    assert without_times("names.times.held") == without_times("names.later.held") == "names.held"
    assert without_times("names.times.held") != without_times("names.times.other")
    assert without_times("names.times.held") != without_times("others.times.held")


def test_times_or_tags_are_compared_with_unknown_contents() -> None:
    assert without_times("names.tags.-") != without_times("names.others.-")
    assert without_times("names.tags.-") != without_times("names.tags.held")
