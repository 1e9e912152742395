"""Fingerprints of photos: which of their parts tell one look at them from another."""

from __future__ import annotations

from shenhe.rows.fingerprints import untimed


def test_times_tell_nothing_where_contents_are_known() -> None:
    assert untimed("names.times.held") == untimed("names.later.held") == "names.held"
    assert untimed("names.times.held") != untimed("names.times.other")
    assert untimed("names.times.held") != untimed("others.times.held")


def test_times_or_tags_are_all_that_tells_where_contents_are_unknown() -> None:
    assert untimed("names.tags.-") != untimed("names.others.-")
    assert untimed("names.tags.-") != untimed("names.tags.held")
