"""Further keys of rows that another tool wrote, as pages and sheets show them."""

from __future__ import annotations

import json

from shenhe.row_types import SummaryRow, VerdictRow

MAX_EXTRA_CHARACTERS = 200
"""The length that the value of a further key is cut to."""


def list_extra(row: VerdictRow, summary: SummaryRow | None) -> list[tuple[str, str]]:
    """List what another tool gave a group, once where both rows of it hold that."""
    extra = (summary.extra if summary else {}) | row.extra
    texts = (
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in extra.items()
    )
    return [(key, text[:MAX_EXTRA_CHARACTERS]) for key, text in texts]
