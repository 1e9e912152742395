"""Accounts of the people of a team: their names, roles and passwords.

An account is never deleted: its name stands in decisions, and nobody else may ever get it. All runs
of a database have the same accounts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NoReturn

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from shenhe.database import Database
from shenhe.row_types import utc_now
from shenhe.team.account_rows import (
    ACCOUNTS,
    MAX_NAME,
    Account,
    AccountError,
    Role,
    clean_name,
    fold_name,
    to_account,
)
from shenhe.team.events import EventKind, Events
from shenhe.team.lockout import clear_name
from shenhe.team.passwords import Passwords, Weakness, digest, find_weakness, new_secret

LINK_SECONDS: Final = 3 * 24 * 3600.0
"""How long a link to set a password may be used."""
WEAKNESSES: Final[dict[Weakness, str]] = {
    "short": "the password is too short: give at least 10 characters",
    "long": "the password is too long: give at most 1000 characters",
    "plain": "the password is too easy to guess: give another one",
}


class Accounts:
    """The accounts of a database; `by` is the name of whoever changes them.

    Example:
        accounts = Accounts(open_database(Path("out")))
        link = accounts.add("李工", "lead", by="the command line")

    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read and write the accounts of a database."""
        self._database, self.clock = database, clock
        self.passwords = passwords or Passwords()
        self.events = Events(database)
        self._exist = False

    def exist(self) -> bool:
        """Whether there is any account; as accounts are never deleted, that never ends.

        Raises: RunError if the database cannot be read.
        """
        if not self._exist:
            with self._database.transaction() as connection:
                self._exist = (
                    connection.execute(select(ACCOUNTS.c.key).limit(1)).first() is not None
                )
        return self._exist

    def list(self) -> list[Account]:
        """List all accounts by name.

        Raises: RunError if the database cannot be read.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.key)).all()
        return [to_account(row) for row in rows]

    def find(self, name: str) -> Account | None:
        """Find an account by its name, in any case and width.

        Raises: RunError if the database cannot be read.
        """
        with self._database.transaction() as connection:
            row = _read(connection, fold_name(name))
        return to_account(row) if row else None

    def add(self, name: str, role: Role, by: str) -> str:
        """Add an account, and give the secret of the link by which its password is set.

        Raises: AccountError for a name that cannot be one or is taken, or if the first account is
        no lead's; RunError.
        """
        cleaned = clean_name(name)
        if not cleaned or cleaned != name.strip():
            raise AccountError("name", f"{name!a}: give a name of 1 to {MAX_NAME} plain characters")
        secret = new_secret()
        cells = {
            "key": fold_name(cleaned),
            "name": cleaned,
            "role": role,
            "is_active": True,
            "generation": 1,
            "created_at": utc_now(),
            "link": digest(secret),
            "link_until": self.clock() + LINK_SECONDS,
        }
        try:
            with self._database.transaction() as connection:
                is_first = _read_any(connection) is None
                if is_first and role != "lead":
                    raise AccountError("first_lead", f"{cleaned}: the first account is a lead's")
                try:
                    connection.execute(insert(ACCOUNTS).values(cells))
                except IntegrityError as error:
                    raise AccountError("taken", f"{cleaned}: there is such an account") from error
                self.events.record(connection, "account_added", by, cleaned, role=role)
        finally:
            self._exist = False
        return secret

    def reset(self, name: str, by: str) -> str:
        """End a password with all its sessions, and give the secret of a link to set a new one.

        Raises: AccountError for an unknown name; RunError.
        """
        secret = new_secret()
        values = {"hash": None, "link": digest(secret), "link_until": self.clock() + LINK_SECONDS}
        with self._database.transaction() as connection:
            account = self._change(connection, name, ends_sessions=True, **values)
            clear_name(connection, account.key)
            self.events.record(connection, "password_reset", by, account.name)
        return secret

    def set_role(self, name: str, role: Role, by: str) -> None:
        """Change a role, which holds from the next request on.

        Raises: AccountError for an unknown name, or if nobody would be a lead; RunError.
        """
        with self._database.transaction() as connection:
            account = self._change(connection, name, role=role)
            self._keep_a_lead(connection, account)
            if account.role != role:
                self.events.record(connection, "role_changed", by, account.name, role=role)

    def set_active(self, name: str, is_active: bool, by: str) -> None:
        """Disable an account, which ends its sessions, or enable it again.

        Raises: AccountError for an unknown name, or if nobody would be a lead; RunError.
        """
        values = {"is_active": is_active} | ({} if is_active else {"link": None})
        kind: EventKind = "account_enabled" if is_active else "account_disabled"
        with self._database.transaction() as connection:
            account = self._change(connection, name, ends_sessions=True, **values)
            self._keep_a_lead(connection, account)
            if account.is_active != is_active:
                self.events.record(connection, kind, by, account.name)

    def set_password(self, name: str, password: str, by: str) -> None:
        """Set a password, which ends all sessions and the link.

        Raises: AccountError for an unknown name or a weak password; RunError.
        """
        account = self.find(name) or _raise_unknown(name)
        self.require_strength(password, account.name)
        stored = self.passwords.hash(password)
        values = {"hash": stored, "link": None, "link_until": None}
        with self._database.transaction() as connection:
            self._change(connection, name, ends_sessions=True, **values)
            self.events.record(connection, "password_set", by, account.name)

    def of_link(self, secret: str) -> Account | None:
        """Find the account whose password a link may set; None for one that is used or ended.

        Raises: RunError if the database cannot be read.
        """
        query = select(ACCOUNTS).where(
            ACCOUNTS.c.link == digest(secret),
            ACCOUNTS.c.link_until > self.clock(),
            ACCOUNTS.c.is_active,
        )
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        return to_account(row) if row else None

    def use_link(self, secret: str, password: str) -> Account | None:
        """Set a password by a link, once; None for a link that is used or ended.

        Raises: AccountError for a weak password; RunError.
        """
        account = self.of_link(secret)
        if account is None:
            return None
        self.require_strength(password, account.name)
        stored = self.passwords.hash(password)
        # Of two who use a link at once, the second changes nothing.
        change = update(ACCOUNTS).where(ACCOUNTS.c.link == digest(secret), ACCOUNTS.c.is_active)
        values = {"hash": stored, "link": None, "link_until": None}
        generation = ACCOUNTS.c.generation + 1
        with self._database.transaction() as connection:
            used = connection.execute(change.values(**values, generation=generation))
            if not used.rowcount:
                return None
            clear_name(connection, account.key)
            self.events.record(connection, "password_set", account.name, account.name)
        return account

    @staticmethod
    def require_strength(password: str, name: str) -> None:
        """Refuse a weak password.

        Raises: AccountError.
        """
        if weakness := find_weakness(password, name):
            raise AccountError(weakness, WEAKNESSES[weakness])

    def _change(
        self, connection: Connection, name: str, *, ends_sessions: bool = False, **values: object
    ) -> Account:
        """Change an account, and give it as it was.

        Raises: AccountError for an unknown name.
        """
        key = fold_name(name)
        # In one order for all who change leads at once: each sees what the one before has done.
        leads = select(ACCOUNTS.c.key).where(ACCOUNTS.c.role == "lead").order_by(ACCOUNTS.c.key)
        generation = ACCOUNTS.c.generation + int(ends_sessions)
        connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.key == key).values(key=key))
        connection.execute(leads.with_for_update())
        row = _read(connection, key)
        if row is None:
            _raise_unknown(name)
        change = update(ACCOUNTS).where(ACCOUNTS.c.key == key)
        connection.execute(change.values(**values, generation=generation))
        return to_account(row)

    @staticmethod
    def _keep_a_lead(connection: Connection, before: Account) -> None:
        """Undo a change after which nobody could manage the team.

        Raises: AccountError if there is no active lead.
        """
        leads = select(ACCOUNTS.c.key).where(ACCOUNTS.c.role == "lead", ACCOUNTS.c.is_active)
        if connection.execute(leads.limit(1)).first() is None:
            raise AccountError("last_lead", f"{before.name}: the last lead stays one")


def _read(connection: Connection, key: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.key == key)).first()


def _read_any(connection: Connection) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(ACCOUNTS).limit(1)).first()


def _raise_unknown(name: str) -> NoReturn:
    raise AccountError("unknown", f"{clean_name(name)}: there is no such account")
