"""The columns of tables that hold what people judged, a row for each version."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, String, Text, UniqueConstraint


def judgement_columns() -> tuple[Column[Any] | UniqueConstraint, ...]:
    """Give new columns for a table of judgements: numbered by run, one row a version of a group."""
    return (
        Column("run", String(64), primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("key", Text, nullable=False),
        # What an index holds has a limit, and a key has none.
        Column("key_digest", String(64), nullable=False),
        Column("group_id", Text, nullable=False),
        Column("mission", Text, nullable=False),
        Column("label", Text),
        Column("verdict", Text),
        Column("version", Integer, nullable=False),
        Column("said", Text),
        Column("reviewer", Text, nullable=False),
        Column("at", Text, nullable=False),
        Column("undoes", BigInteger),
        Column("inputs", Text),
        UniqueConstraint("run", "key_digest", "version"),
    )


def digest_key(key: str) -> str:
    """Give what stands for the key of a group in an index: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
