"""Comparison of the fingerprints of a group's photos, see `intake.fingerprints`."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "-"
"""In place of what photos hold, where that was not read: they lie elsewhere, or cannot be read."""


def same_listing(before: str, now: str) -> bool:
    """Whether names, sizes and times are as before."""
    return before.rpartition(".")[0] == now.rpartition(".")[0]


def same_names(before: str, now: str) -> bool:
    """Whether names and sizes are as before, and so the times alone may differ."""
    return before.partition(".")[0] == now.partition(".")[0]


def same_contents(before: str, now: str) -> bool:
    """Whether two fingerprints know what the photos hold, and that it is the same."""
    return same_names(before, now) and _known(before) == _known(now) != UNKNOWN


def untimed(inputs: str) -> str:
    """Give what a look at the photos rests on: all but their times, which a mere copy changes.

    Where it is unknown what they hold, the times (or a store's tags) are all that could tell.
    """
    if _known(inputs) == UNKNOWN:
        return inputs
    return f"{inputs.partition('.')[0]}.{_known(inputs)}"


def _known(inputs: str) -> str:
    return inputs.rpartition(".")[2]
