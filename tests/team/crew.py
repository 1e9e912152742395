"""People for tests: accounts whose passwords take no time to hash, and a clock that is set."""

from __future__ import annotations

from argon2 import PasswordHasher
from starlette.testclient import TestClient

from shenhe.database import Database
from shenhe.team import Passwords, People

CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
PASSWORD = "正确的 password 1"


class Clock:
    """A clock that stands still until it is moved. Units: seconds."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def people_of(database: Database, clock: Clock | None = None) -> People:
    return People.of(database, CHEAP, clock or Clock())


def add(people: People, *names: str, role: str = "inspector") -> None:
    """Add accounts with the password of all."""
    for name in names:
        people.accounts.add(name, "lead" if role == "lead" else "inspector", "test")
        people.accounts.set_password(name, PASSWORD, "test")


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> int:
    """Sign a browser in; give the status of the answer."""
    client.cookies.clear()
    return client.post("/sign-in", data={"name": name, "password": password}).status_code
