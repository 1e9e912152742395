"""Stores of jobs, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shenhe.service.leases import LEASE_SECONDS
from shenhe.service.store import JobStore, open_store

Open = Callable[..., JobStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The address of the database: none for SQLite."""
    is_shared = request.param == "postgresql"
    return str(request.getfixturevalue("shared_url")) if is_shared else ""


@pytest.fixture
def open_jobs(tmp_path: Path, store_url: str) -> Iterator[Open]:
    """Opens the jobs of one service, as each of its processes does."""
    opened: list[JobStore] = []

    def open_another(lease_seconds: float = LEASE_SECONDS) -> JobStore:
        opened.append(JobStore(open_store(tmp_path, store_url).database, lease_seconds))
        return opened[-1]

    yield open_another
    for store in opened:
        store.close()


@pytest.fixture
def jobs(open_jobs: Open) -> JobStore:
    return open_jobs()
