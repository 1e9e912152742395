"""Photos that are used again: what they are compared with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.options import option
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.photos.reuse import ReuseIndex
    from shenhe.runs import VerdictPolicy


def missions_option() -> tuple[str, ...]:
    """Declare the missions of a tree that are looked at."""
    return option(
        "a mission; several times for several; without it all that the tree has",
        default=(),
        metavar="NAME",
        gathering="each",
    )


def earlier_option() -> tuple[Path, ...]:
    """Declare the earlier runs that photos are compared with."""
    return option(
        "compare photos with those of an earlier run too, or of a list that `photos` wrote",
        default=(),
        metavar="RUN_DIR|FILE.jsonl",
    )


@contextmanager
def opened_reuse(policy: VerdictPolicy, stage_a: Sequence[Path]) -> Iterator[ReuseIndex | None]:
    """Index the photos of all groups, where a policy holds reused ones back; None where not.

    Raises: RunError if rows cannot be read.
    """
    from shenhe.rows.photo_marks import opened_index

    if not policy.holds_reused:
        yield None
        return
    with opened_index(stage_a, policy.earlier) as index:
        if index.without_facts:
            show(
                f"shenhe: warning: {index.without_facts} photos have no facts, as in rows of an"
                " earlier version or of another tool: nobody can tell whether they are used again",
                file=sys.stderr,
            )
        yield index
