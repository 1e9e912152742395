"""Which results are still to be told to whom: in the database, so that no killed process loses any.

A result is noted for delivery once, by a mark in the log of results; it is told at least once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from shenhe.database import Database, SecondsNow
from shenhe.service.job_table import JobTable

PAUSES: Final = (10.0, 30.0, 120.0, 600.0, 3600.0, 10_800.0, 21_600.0, 43_200.0)
"""Pauses before a result is told again, then it is given up. Units: seconds."""
LEASE_SECONDS: Final = 60.0
"""How long a process has a delivery in hand before another may take it up."""
PAGE: Final = 100
EACH: Final = 4
"""How many results one receiver is told at once: one that is slow keeps no other waiting."""
METADATA: Final = MetaData()
DELIVERIES: Final = Table(
    "service_deliveries",
    METADATA,
    Column("run", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("job_id", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("answer", Text, nullable=False),
    Index("service_deliveries_due", "run", "state", "due_at"),
)
"""`number` is that of the result; `answer` is what the last attempt got."""
MARKS: Final = Table(
    "service_delivery_marks",
    METADATA,
    Column("run", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""Up to which result deliveries were noted."""


class Delivery(NamedTuple):
    """A result that is to be told; `attempts` counts those before.

    Example:
        Delivery(7, "0f3a", "https://orders.example/hook", 0)

    """

    number: int
    job_id: str
    url: str
    attempts: int


def receiver_of(url: str) -> str:
    """Give what stands for who is told: the beginning of a URL, up to its host.

    >>> receiver_of("https://orders.example:8443/hook?token=1")
    'https://orders.example:8443'
    """
    return re.split("[/?#]", url.replace("://", ":", 1), maxsplit=1)[0].replace(":", "://", 1)


class Deliveries:
    """The deliveries of a service.

    Example:
        deliveries.note()
        for delivery in deliveries.take(8):
            deliveries.end(delivery, "200", is_over=True)

    """

    def __init__(self, jobs: JobTable, pauses: Sequence[float] = PAUSES) -> None:
        """Keep them beside the jobs.

        Raises: DatabaseAwayError; RunError.
        """
        self._jobs, self._pauses = jobs, pauses
        self._database: Database = jobs.database
        self._run = jobs.database.run
        self._database.create(METADATA)

    def note(self) -> int:
        """Note the results since the last time that somebody is to be told of, up to PAGE of them.

        Returns how many results were looked at.

        Raises: DatabaseAwayError; RunError.
        """
        if not self._jobs.finished_after(self._mark(), 1):
            return 0
        with self._database.alone(f"service deliveries {self._run}") as connection:
            mark = self._read_mark(connection)
            ended = self._jobs.finished_after(mark or 0, PAGE)
            rows = [
                {
                    "run": self._run,
                    "number": end.number,
                    "job_id": end.job.id,
                    "url": end.job.new.callback,
                    "state": "pending",
                    "attempts": 0,
                    "due_at": 0.0,
                    "answer": "",
                }
                for end in ended
                if end.job.new.callback
            ]
            if rows:
                connection.execute(insert(DELIVERIES), rows)
            if ended:
                self._write_mark(connection, ended[-1].number, is_first=mark is None)
        return len(ended)

    def take(self, limit: int, room: Mapping[str, int] | None = None) -> list[Delivery]:
        """Take deliveries in hand that are due; whoever dies over one lets it be due again.

        `room` is how many a receiver may have that it names, EACH any other.
        Raises: DatabaseAwayError; RunError.
        """
        if limit <= 0:
            return []
        room = room or {}
        is_due = self._is_own(
            DELIVERIES.c.state == "pending",
            DELIVERIES.c.due_at <= SecondsNow(),
            *(~_is_of(receiver) for receiver, count in room.items() if count <= 0),
        )
        query = select(DELIVERIES).where(is_due).order_by(DELIVERIES.c.due_at).limit(limit)
        with self._database.reading() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._database.alone(f"service deliveries {self._run}") as connection:
            rows = _choose(connection.execute(query).all(), room)
            is_taken = self._is_own(DELIVERIES.c.number.in_([row.number for row in rows]))
            taking = update(DELIVERIES).where(is_taken)
            connection.execute(taking.values(due_at=SecondsNow() + LEASE_SECONDS))
        return [Delivery(row.number, row.job_id, row.url, row.attempts) for row in rows]

    def end(
        self, delivery: Delivery, answer: str, *, is_told: bool, is_final: bool = False
    ) -> None:
        """Note how an attempt ended; one that failed is due again later, or given up.

        Raises: DatabaseAwayError; RunError.
        """
        is_last = is_final or delivery.attempts >= len(self._pauses)
        state = "told" if is_told else "given_up" if is_last else "pending"
        pause = 0.0 if state != "pending" else self._pauses[delivery.attempts]
        cells = {"state": state, "attempts": delivery.attempts + 1, "answer": answer[:200]}
        ending = update(DELIVERIES).where(self._is_own(DELIVERIES.c.number == delivery.number))
        with self._database.transaction() as connection:
            connection.execute(ending.values(**cells, due_at=SecondsNow() + pause))

    def counts(self) -> dict[str, int]:
        """Count deliveries by their state: pending, told, given_up.

        Raises: DatabaseAwayError; RunError.
        """
        query = select(DELIVERIES.c.state, func.count().label("jobs")).where(self._is_own())
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(DELIVERIES.c.state)).all()
        return {row.state: row.jobs for row in rows}

    def _is_own(self, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        own: ColumnElement[bool] = DELIVERIES.c.run == self._run
        for condition in conditions:
            own &= condition
        return own

    def _mark(self) -> int:
        with self._database.reading() as connection:
            return self._read_mark(connection) or 0

    def _read_mark(self, connection: Connection) -> int | None:
        query = select(MARKS.c.number).where(MARKS.c.run == self._run)
        return connection.execute(query).scalar_one_or_none()

    def _write_mark(self, connection: Connection, number: int, *, is_first: bool) -> None:
        if is_first:
            connection.execute(insert(MARKS).values(run=self._run, number=number))
        else:
            moving = update(MARKS).where(MARKS.c.run == self._run)
            connection.execute(moving.values(number=number))


def _is_of(receiver: str) -> ColumnElement[bool]:
    """Whether a delivery goes to a receiver."""
    url = DELIVERIES.c.url
    is_of = url == receiver
    for sign in "/?#":
        is_of |= url.startswith(receiver + sign, autoescape=True)
    return is_of


def _choose(rows: Sequence[Row[Any]], room: Mapping[str, int]) -> list[Row[Any]]:
    """Choose those for whose receivers there is room, the first of each first."""
    count: Counter[str] = Counter()
    chosen = []
    for row in rows:
        receiver = receiver_of(row.url)
        if count[receiver] < room.get(receiver, EACH):
            count[receiver] += 1
            chosen.append(row)
    return chosen
