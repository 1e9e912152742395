"""What people did beside decisions: an entry of the audit trail each, which is never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, get_args

from pydantic import Field
from pydantic_core import from_json, to_json
from sqlalchemy import BigInteger, Column, Connection, Integer, Table, Text, insert, or_, select

from shenhe.database import Database
from shenhe.row_types import Row, utc_now
from shenhe.team.database import METADATA

EventKind = Literal[
    "account_added",
    "account_disabled",
    "account_enabled",
    "role_changed",
    "password_reset",
    "password_set",
    "signed_in",
    "signed_out",
    "refused",
    "locked",
    "assignments_changed",
    "second_planned",
]
OF_ACCOUNTS: Final = get_args(EventKind)[:6]
"""Kinds that concern every run of a database, as the accounts do."""
NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""A number that counts up by itself in either database."""
EVENTS: Final = Table(
    "team_events",
    METADATA,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)


class Event(Row):
    """An entry of the trail: `actor` did something, about an account or about nobody.

    `actor` is empty where nobody is known to have done it, as where a sign-in is refused.
    """

    number: int = 0
    at: str
    kind: EventKind
    actor: str = ""
    about: str = ""
    detail: Mapping[str, str | int | float] = Field(default_factory=dict)


class Events:
    """The entries of a run's trail that are no decisions.

    Example:
        events = Events(open_database(Path("out")))
        events.page()[0].kind  # 'signed_in'

    """

    def __init__(self, database: Database) -> None:
        """Read and write the trail of a run."""
        self._database = database

    def page(self, before: int | None = None, count: int = 50) -> list[Event]:
        """List entries below a number, the last one first.

        Raises: RunError if the database cannot be read.
        """
        of_run = or_(EVENTS.c.run == self._database.run, EVENTS.c.kind.in_(OF_ACCOUNTS))
        query = select(EVENTS).where(of_run).order_by(EVENTS.c.number.desc()).limit(count)
        if before is not None:
            query = query.where(EVENTS.c.number < before)
        with self._database.transaction() as connection:
            return [_to_event(row._asdict()) for row in connection.execute(query)]

    def all(self) -> Iterator[Event]:
        """Yield all entries in the order in which they were made.

        Raises: RunError if the database cannot be read.
        """
        before, pages = None, []
        while page := self.page(before, 1000):
            pages.append(page)
            before = page[-1].number
        for page in reversed(pages):
            yield from reversed(page)

    def record(
        self,
        connection: Connection,
        kind: EventKind,
        actor: str,
        about: str = "",
        **detail: str | float,
    ) -> None:
        """Write an entry in the transaction of what it tells of: there is none without it."""
        cells = {"run": self._database.run, "at": utc_now(), "kind": kind, "actor": actor}
        text = to_json(detail).decode()
        connection.execute(insert(EVENTS).values(cells | {"about": about, "detail": text}))


def _to_event(row: Mapping[str, object]) -> Event:
    cells = {name: value for name, value in row.items() if name != "run"}
    return Event.model_validate(cells | {"detail": from_json(str(cells["detail"]))})
