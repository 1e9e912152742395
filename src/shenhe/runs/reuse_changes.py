"""Verdicts that were held back for a photo that is reused no more, or the other way round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from shenhe.errors import RowError
from shenhe.row_types import SummaryRow
from shenhe.rows.fields import list_of, meta_of
from shenhe.rows.keys import key_of
from shenhe.rows.ledger import read_rows
from shenhe.rows.readers import read_each
from shenhe.rows.row_index import RowIndex
from shenhe.runs.stage_a_source import StageASource
from shenhe.values import REUSED_PHOTO

USED_OTHERWISE: Final = "whose photos are used otherwise than before"
FindReuse = Callable[[SummaryRow], Sequence[object]]
"""Lists the reasons to hold a group back for its photos."""


def find_used_otherwise(
    source: StageASource,
    rows_path: Path,
    done: RowIndex,
    find_reuse: FindReuse | None,
    passed_over: Collection[str],
) -> set[str]:
    """Find the keys of such verdicts: another group, or another run, may have come or gone since.

    Keys in `passed_over` are those of groups with several rows.
    """
    if find_reuse is None or not len(done):
        return set()
    held = {
        key_of(row) for row in read_rows(rows_path) if REUSED_PHOTO in list_of(meta_of(row), "why")
    }
    changed = set()
    for keyed in read_each(source.path, SummaryRow):
        if isinstance(keyed, RowError) or keyed.key not in done or keyed.key in passed_over:
            continue
        with suppress(RowError):
            if bool(find_reuse(source.read(keyed))) != (keyed.key in held):
                changed.add(keyed.key)
    return changed
