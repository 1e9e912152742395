"""The browser of the review app's tests, for the report."""

from __future__ import annotations

from tests.review.conftest import browser

__all__ = ["browser"]
