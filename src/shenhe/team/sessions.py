"""Signing in and out: sessions of accounts, each a random secret that a browser keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import Column, Float, Integer, Table, Text, delete, insert, select, update

from shenhe.database import Database
from shenhe.team.account_rows import ACCOUNTS, Account, clean_name, fold_name, to_account
from shenhe.team.accounts import Accounts
from shenhe.team.database import METADATA
from shenhe.team.lockout import (
    Allowance,
    begin_attempt,
    clear_attempts,
    next_wait,
    subjects_of,
)
from shenhe.team.passwords import digest, new_secret

IDLE_SECONDS: Final = 8 * 3600.0
"""How long a session lasts without a request."""
WHOLE_SECONDS: Final = 3 * 24 * 3600.0
"""How long a session lasts at all."""
TOUCH_SECONDS: Final = 60.0
"""How exactly the last request of a session is kept: not each of them is a write."""
SESSIONS: Final = Table(
    "team_sessions",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
)


class SignedIn(NamedTuple):
    """A session that has begun; `secret` is what the browser keeps.

    Example:
        secret, account = sessions.sign_in("李工", password, address)

    """

    secret: str
    account: Account


class Refusal(NamedTuple):
    """A sign-in that was refused, without a word of why; `wait` is until the next one may pass.

    Units: seconds.

    Example:
        Refusal(0.0)

    """

    wait: float


class Sessions:
    """The sessions of a run.

    Example:
        sessions = Sessions(database, accounts)
        result = sessions.sign_in("李工", "correct horse", "192.0.2.7")

    """

    def __init__(self, database: Database, accounts: Accounts) -> None:
        """Keep sessions in the database of the accounts, by the clock of these."""
        self._database, self._accounts = database, accounts
        self._clock = accounts.clock

    @property
    def run(self) -> str:
        """Identity of the run."""
        return self._database.run

    def sign_in(self, name: str, password: str, address: str) -> SignedIn | Refusal:
        """Begin a session where name and password are right.

        Raises: RunError if the database cannot be read or written.
        """
        refusal = self.check(name, password, address)
        return refusal or self.begin(name, address)

    def check(self, name: str, password: str, address: str) -> Refusal | None:
        """Check a password, and count it as an attempt if it is wrong.

        Raises: RunError if the database cannot be read or written.
        """
        now, subjects = self._clock(), subjects_of(fold_name(name), clean_name(address))
        with self._database.transaction() as connection:
            if wait := begin_attempt(connection, subjects, now):
                return Refusal(wait)
            query = select(ACCOUNTS).where(ACCOUNTS.c.key == fold_name(name))
            row = connection.execute(query).first()
        passwords = self._accounts.passwords
        stored: str | None = row.hash if row and row.is_active else None
        if not passwords.accept(stored, password) or row is None or stored is None:
            # A name that is no account's is not kept: people type passwords into that field.
            return self._refuse(row.name if row else "", subjects, clean_name(address), now)
        anew = passwords.hash(password) if passwords.is_outdated(stored) else stored
        is_unchanged = (ACCOUNTS.c.key == row.key, ACCOUNTS.c.hash == stored)
        with self._database.transaction() as connection:
            clear_attempts(connection, list(subjects), now)
            if anew != stored:
                connection.execute(update(ACCOUNTS).where(*is_unchanged).values(hash=anew))
        return None

    def begin(self, name: str, address: str) -> SignedIn | Refusal:
        """Begin a session of an account whose password was checked, or just set.

        Raises: RunError if the database cannot be read or written.
        """
        account, now = self._accounts.find(name), self._clock()
        if account is None or not account.is_active or not account.has_password:
            return Refusal(0.0)
        secret = new_secret()
        cells = {"digest": digest(secret), "run": self._database.run, "account": account.key}
        times = {"generation": account.generation, "begun_at": now, "used_at": now}
        with self._database.transaction() as connection:
            connection.execute(insert(SESSIONS).values(cells | times))
            connection.execute(delete(SESSIONS).where(SESSIONS.c.begun_at < now - WHOLE_SECONDS))
            self._accounts.events.record(
                connection, "signed_in", account.name, address=clean_name(address)
            )
        return SignedIn(secret, account)

    def _refuse(
        self, about: str, subjects: Mapping[str, Allowance], address: str, now: float
    ) -> Refusal:
        record = self._accounts.events.record
        with self._database.transaction() as connection:
            record(connection, "refused", "", about, address=address)
            wait = next_wait(connection, subjects, now)
            if wait:
                record(connection, "locked", "", about, address=address, seconds=wait)
        return Refusal(wait)

    def identify(self, secret: str) -> Account | None:
        """Find the account of a session; None for one that has ended.

        It ends by time, with a sign-out, and when the account is disabled or its password changes.
        Raises: RunError if the database cannot be read or written.
        """
        now, key = self._clock(), digest(secret)
        query = select(ACCOUNTS, SESSIONS.c.used_at).where(
            SESSIONS.c.digest == key,
            SESSIONS.c.run == self._database.run,
            SESSIONS.c.begun_at > now - WHOLE_SECONDS,
            SESSIONS.c.used_at > now - IDLE_SECONDS,
            ACCOUNTS.c.key == SESSIONS.c.account,
            ACCOUNTS.c.generation == SESSIONS.c.generation,
            ACCOUNTS.c.is_active,
        )
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
            if row and row.used_at < now - TOUCH_SECONDS:
                touch = update(SESSIONS).where(SESSIONS.c.digest == key)
                connection.execute(touch.values(used_at=now))
        return to_account(row) if row else None

    def end(self, secret: str) -> None:
        """End a session, as where another one takes its place.

        Raises: RunError if the database cannot be written.
        """
        with self._database.transaction() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == digest(secret)))

    def sign_out(self, secret: str) -> None:
        """End a session of somebody who leaves.

        Raises: RunError if the database cannot be written.
        """
        account = self.identify(secret)
        self.end(secret)
        if account:
            with self._database.transaction() as connection:
                self._accounts.events.record(connection, "signed_out", account.name)
