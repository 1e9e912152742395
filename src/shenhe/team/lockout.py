"""Attempts to sign in: after some that failed, each further one has to wait longer.

An attempt is counted before its password is checked, in the database that all servers share: of
any number of attempts at once, on any number of servers, only as many pass as one by one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    Table,
    Text,
    case,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shenhe.team.database import METADATA

ATTEMPTS: Final = Table(
    "team_attempts",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last", Float, nullable=False),
    Column("free_at", Float, nullable=False),
)
EXPONENT_LIMIT: Final = 20


class Allowance(NamedTuple):
    """How many attempts may fail freely, the longest wait, and when failures are forgotten.

    Units: attempts, seconds, seconds.

        >>> [OF_NAMES.wait(failures) for failures in (5, 6, 7, 30)]
        [0.0, 1.0, 2.0, 900.0]
    """

    free: int
    longest: float
    forgotten: float

    def wait(self, failures: int) -> float:
        """Give how long the next attempt waits. Units: seconds."""
        over = failures - self.free
        return min(self.longest, 2.0 ** min(over - 1, EXPONENT_LIMIT)) if over > 0 else 0.0


OF_NAMES: Final = Allowance(5, 900.0, 24 * 3600.0)
OF_ADDRESSES: Final = Allowance(30, 30.0, 3600.0)
"""Many people may share an address: a whole office, or all of them behind a proxy."""


def subjects_of(name_key: str, address: str) -> dict[str, Allowance]:
    """Name what an attempt counts for: the name, whether it exists or not, and the address.

    >>> list(subjects_of("lee", "2001:db8::7"))
    ['name lee', 'address 2001:db8::/64']
    """
    return {f"name {name_key}": OF_NAMES, f"address {network_of(address)}": OF_ADDRESSES}


def network_of(address: str) -> str:
    """Give what one attacker may have of addresses: a whole /64 of IPv6.

    >>> network_of("192.0.2.7"), network_of("2001:db8::1")
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def begin_attempt(connection: Connection, subjects: Mapping[str, Allowance], now: float) -> float:
    """Count an attempt, or refuse it: give how long it has to wait, 0 if it may go on.

    Units: seconds.
    """
    for subject, allowance in subjects.items():
        _ensure_row(connection, subject, now)
        is_forgotten = ATTEMPTS.c.last < now - allowance.forgotten
        failures = case((is_forgotten, 1), else_=ATTEMPTS.c.failures + 1)
        row = ATTEMPTS.c.subject == subject
        counted = connection.execute(
            update(ATTEMPTS)
            .where(row, (ATTEMPTS.c.free_at <= now) | is_forgotten)
            .values(failures=failures, last=now)
        )
        query = select(ATTEMPTS.c.failures, ATTEMPTS.c.free_at).where(row)
        count, free_at = connection.execute(query).one()
        if not counted.rowcount:
            return float(max(free_at - now, 0.001))
        wait = allowance.wait(count)
        # Free at any time where nothing waits: whoever comes at once may have begun earlier.
        connection.execute(update(ATTEMPTS).where(row).values(free_at=now + wait if wait else 0.0))
    return 0.0


def next_wait(connection: Connection, subjects: Mapping[str, Allowance], now: float) -> float:
    """Give how long the next attempt has to wait. Units: seconds."""
    query = select(func.max(ATTEMPTS.c.free_at)).where(ATTEMPTS.c.subject.in_(list(subjects)))
    return max(0.0, float(connection.execute(query).scalar_one() or 0.0) - now)


def clear_attempts(connection: Connection, subjects: Sequence[str], now: float) -> None:
    """Forget the failures of a name whose password was right; its address takes one back.

    Whoever has an account of his own cannot clear an address for his guesses at others.
    """
    name, address = subjects
    connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.subject == name))
    connection.execute(
        update(ATTEMPTS)
        .where(ATTEMPTS.c.subject == address, ATTEMPTS.c.failures > 0)
        .values(failures=ATTEMPTS.c.failures - 1, free_at=0.0)
    )
    connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.last < now - OF_NAMES.forgotten))


def clear_name(connection: Connection, name_key: str) -> None:
    """Forget the failures of a name, as where a lead gives a new password."""
    connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.subject == f"name {name_key}"))


def _ensure_row(connection: Connection, subject: str, now: float) -> None:
    cells = {"subject": subject, "failures": 0, "last": now, "free_at": 0.0}
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(ATTEMPTS).values(cells).on_conflict_do_nothing())
    else:
        connection.execute(postgresql.insert(ATTEMPTS).values(cells).on_conflict_do_nothing())
