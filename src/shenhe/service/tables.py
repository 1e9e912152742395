"""The tables of the service: jobs, their photos, and the workers that have jobs in hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from shenhe.service.jobs import JobState, Lane

TABLES: Final = MetaData()
"""All tables of the service; `open_store` creates those that are missing."""
RANKS: Final[Mapping[Lane, int]] = {"interactive": 0, "bulk": 1}
"""Lanes as numbers: the lower one is taken first."""
OPEN: Final[tuple[JobState, ...]] = ("queued", "running")
"""States of jobs that are not at their end."""

JOBS: Final = Table(
    "service_jobs",
    TABLES,
    Column("run", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(32), nullable=False),
    Column("mission", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("label", String(16)),
    # What an index holds has a limit, and the name of a group has none.
    Column("group_digest", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("contents", String(128), nullable=False),
    Column("photos", Text, nullable=False),
    Column("has_photos", Boolean, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("callback", Text, nullable=False),
    Column("submitted_at", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(32)),
    Column("token", String(32)),
    Column("finished_at", Text, nullable=False),
    Column("finish_number", BigInteger),
    Column("result", Text),
    Column("problem", Text, nullable=False),
    UniqueConstraint("run", "id"),
    UniqueConstraint("run", "group_digest", "version"),
    UniqueConstraint("run", "group_digest", "contents"),
    UniqueConstraint("run", "finish_number"),
)
Index("service_jobs_by_state", JOBS.c.run, JOBS.c.state, JOBS.c.rank, JOBS.c.number)
Index(
    "service_jobs_with_photos",
    JOBS.c.run,
    JOBS.c.finish_number,
    postgresql_where=JOBS.c.has_photos,
    sqlite_where=JOBS.c.has_photos,
)
"""`finish_number` grows in the order in which ends are committed, `token` is that of the last
claim. `size` counts the bytes of the photos, and `has_photos` turns false when they are deleted."""

PHOTOS: Final = Table(
    "service_photos",
    TABLES,
    Column("run", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("look", String(16)),
    Index("service_photos_by_content", "run", "content_hash"),
)
"""`number` is that of the job, `look` the perceptual hash."""

WORKERS: Final = Table(
    "service_workers",
    TABLES,
    Column("run", String(64), primary_key=True),
    Column("worker", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("server_start", Double),
)
"""`beats` counts how often a worker told that it lives; `server_start` is when the PostgreSQL was
started on which its lock lies."""
