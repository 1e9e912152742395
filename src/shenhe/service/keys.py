"""API keys: names and scopes in the database, of the keys themselves hashes alone."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Double, MetaData, Table, Text, delete, insert, select

from shenhe.database import Database
from shenhe.errors import DatabaseAwayError, UsageError
from shenhe.row_types import utc_now
from shenhe.service.access import EVERYBODY, SCOPES, Caller, KeyScope
from shenhe.team.passwords import digest

ADMIN: Final = "admin"
PREFIX: Final = "shk_"
MAX_KEY: Final = 200
MAX_NAME: Final = 60
FRESH_SECONDS: Final = 2.0
"""How old what a process knows of the keys may be: a removed one is refused that soon."""
METADATA: Final = MetaData()
KEYS: Final = Table(
    "service_keys",
    METADATA,
    Column("run", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("rate", Double, nullable=False),
    Column("made_at", Text, nullable=False),
)
"""`digest` is the SHA-256 of a random key, `rate` how many requests a minute it may send."""


class ApiKey(NamedTuple):
    """A key without its secret.

    Example:
        ApiKey("工单系统", ("submit", "read"), 600.0, "2026-11-26T08:00:00.000000Z")

    """

    name: str
    scopes: tuple[KeyScope, ...]
    rate: float
    made_at: str


class KeyRing:
    """The keys of a service.

    Example:
        secret = KeyRing(database).add("工单系统", ["submit", "read"])

    """

    def __init__(self, database: Database, admin_key: str = "", rate: float = 0.0) -> None:
        """Keep keys in a database; `admin_key` is one more, which may do everything.

        `rate` is that of keys that have none of their own, in requests a minute.
        Raises: DatabaseAwayError; RunError.
        """
        self._database, self._rate = database, rate
        self._admin = digest(admin_key) if admin_key else ""
        self._lock, self._read_at = threading.Lock(), -FRESH_SECONDS
        self._callers: dict[str, Caller] = {}
        self._was_read = False
        database.create(METADATA)

    def add(self, name: str, scopes: Sequence[KeyScope], rate: float = 0.0) -> str:
        """Make a key, and give it; nobody can read it again.

        Raises: UsageError for a name that is taken, or cannot be one; DatabaseAwayError; RunError.
        """
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable() or name == ADMIN:
            raise UsageError(f"{name!r}: give a name of up to {MAX_NAME} characters, not {ADMIN}")
        secret = PREFIX + secrets.token_urlsafe(32)
        cells = {"run": self._database.run, "name": name, "digest": digest(secret)}
        cells |= {"scopes": ",".join(scopes), "made_at": utc_now()}
        with self._database.alone("service keys") as connection:
            taken = select(KEYS.c.name).where(self._is_own(), KEYS.c.name == name)
            if connection.execute(taken).first():
                raise UsageError(f"{name}: there is a key of this name; remove it first")
            connection.execute(insert(KEYS).values(**cells, rate=rate))
        return secret

    def remove(self, name: str) -> None:
        """Remove a key; servers refuse it within FRESH_SECONDS.

        Raises: UsageError where there is none of this name; DatabaseAwayError; RunError.
        """
        with self._database.transaction() as connection:
            removal = delete(KEYS).where(self._is_own(), KEYS.c.name == name)
            if not connection.execute(removal).rowcount:
                raise UsageError(f"{name}: there is no key of this name")

    def list(self) -> Sequence[ApiKey]:
        """List the keys by their names.

        Raises: DatabaseAwayError; RunError.
        """
        with self._database.reading() as connection:
            rows = connection.execute(select(KEYS).where(self._is_own()).order_by(KEYS.c.name))
            return [ApiKey(row.name, _scopes(row.scopes), row.rate, row.made_at) for row in rows]

    def find_caller(self, secret: str) -> Caller | None:
        """Find who has a key; without any keys everybody may do everything.

        Raises: DatabaseAwayError; RunError.
        """
        if len(secret) > MAX_KEY:
            return None
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH_SECONDS:
                self._read_anew()
            if not self._callers:
                return EVERYBODY
            # Digests of random keys: how long a comparison takes tells nothing of the keys.
            return self._callers.get(digest(secret))

    def _read_anew(self) -> None:
        """Read the keys; while the database is away those that were read last count.

        Raises: DatabaseAwayError where none were read yet; RunError.
        """
        try:
            self._callers = self._read()
        except DatabaseAwayError:
            if not self._was_read:
                raise
        self._was_read, self._read_at = True, time.monotonic()

    def _read(self) -> dict[str, Caller]:
        with self._database.reading() as connection:
            rows = connection.execute(select(KEYS).where(self._is_own())).all()
        callers = {
            row.digest: Caller(row.name, frozenset(_scopes(row.scopes)), row.rate or self._rate)
            for row in rows
        }
        if self._admin:
            callers[self._admin] = Caller(ADMIN, frozenset(SCOPES))
        return callers

    def _is_own(self) -> ColumnElement[bool]:
        return KEYS.c.run == self._database.run


def _scopes(text: str) -> tuple[KeyScope, ...]:
    return tuple(scope for scope in SCOPES if scope in text.split(","))
