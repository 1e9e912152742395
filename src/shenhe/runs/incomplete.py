"""Groups that Stage-A could not complete: why, and which items failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shenhe.row_types import Failure
from shenhe.rows.problem_words import describe_failed
from shenhe.values import LEFT_OUT, STAGE_A_INCOMPLETE, Group


class IncompleteGroup(NamedTuple):
    """A group without lines, why, and the items that failed."""

    group: Group
    codes: list[str]
    items: str


def gather_incomplete(failures: Iterable[Failure]) -> Iterator[IncompleteGroup]:
    """Yield each group that failures are about, with all of them told."""
    failed: dict[str, tuple[Group, list[str], list[str]]] = {}
    for failure in failures:
        group = Group(failure.group_id, failure.mission, failure.label, ())
        _, codes, items = failed.setdefault(group.key, (group, [STAGE_A_INCOMPLETE], []))
        if failure.code == LEFT_OUT:
            codes.append(LEFT_OUT)
        items.append(describe_failed(failure))
    for group, codes, items in failed.values():
        yield IncompleteGroup(group, codes, ", ".join(items))
