"""The options of an engine that decide rows, with what only the engine itself can tell."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe.engines.budget import budget_of
from shenhe.rows.manifest import BUDGET, BUDGET_FROM


def with_budget(options: Mapping[str, object], engine: object) -> dict[str, object]:
    """Add the pixel budget of an engine whose checkpoint is elsewhere, and who says so."""
    budget = budget_of(engine)
    if budget is None:
        return dict(options)
    bounds = [budget.bounds.min_pixels, budget.bounds.max_pixels]
    return {**options, BUDGET: bounds, BUDGET_FROM: budget.source or None}
