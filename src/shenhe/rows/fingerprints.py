"""Comparison of the fingerprints of a group's photos, see `intake.fingerprints`."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "-"
"""Stands for the contents of photos that were not read: on another machine, or unreadable."""


def same_listing(before: str, after: str) -> bool:
    """Whether names, sizes and times are equal."""
    return before.rpartition(".")[0] == after.rpartition(".")[0]


def same_names(before: str, after: str) -> bool:
    """Whether names and sizes are equal, so that at most the times differ."""
    return before.partition(".")[0] == after.partition(".")[0]


def same_contents(before: str, after: str) -> bool:
    """Whether both fingerprints know the contents of the photos, and these are equal."""
    return same_names(before, after) and _contents(before) == _contents(after) != UNKNOWN


def without_times(inputs: str) -> str:
    """Give all of a fingerprint but the times, which a mere copy of the photos changes.

    If the contents are unknown, the times (or a store's tags) stay: nothing else could tell.
    """
    if _contents(inputs) == UNKNOWN:
        return inputs
    return f"{inputs.partition('.')[0]}.{_contents(inputs)}"


def _contents(inputs: str) -> str:
    return inputs.rpartition(".")[2]
