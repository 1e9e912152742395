"""The people of a run: their accounts, their sessions, and the trail of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Self

from shenhe.database import Database
from shenhe.team.accounts import Accounts
from shenhe.team.events import Events
from shenhe.team.passwords import Passwords
from shenhe.team.sessions import Sessions


class People(NamedTuple):
    """Everything about people that a review needs.

    Example:
        people = People.of(open_database(Path("out")))
        people.accounts.exist()  # False: whoever opens the pages gives a name

    """

    accounts: Accounts
    sessions: Sessions
    events: Events

    @classmethod
    def of(
        cls,
        database: Database,
        passwords: Passwords | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Keep people in a database."""
        accounts = Accounts(database, passwords, clock)
        return cls(accounts, Sessions(database, accounts), accounts.events)
