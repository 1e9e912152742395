"""Instants as they are written."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Give the current time as rows have it: 2025-10-24T12:34:56.000000Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
