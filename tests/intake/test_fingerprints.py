"""Fingerprints of photos: which of their parts tell one look at them from another."""

from __future__ import annotations

from shenhe.rows.fingerprints import without_times


def test_times_tell_nothing_where_contents_are_known() -> None:
    assert without_times("names.times.held") == without_times("names.later.held") == "names.held"
    assert without_times("names.times.held") != without_times("names.times.other")
    assert without_times("names.times.held") != without_times("others.times.held")


def test_times_or_tags_are_all_that_tells_where_contents_are_unknown() -> None:
    assert without_times("names.tags.-") != without_times("names.others.-")
    assert without_times("names.tags.-") != without_times("names.tags.held")
