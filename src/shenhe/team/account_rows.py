"""The row of an account, and how names are written and compared."""

from __future__ import annotations

import unicodedata
from typing import Final, Literal, NamedTuple, get_args

from sqlalchemy import Boolean, Column, Float, Integer, Row, Table, Text

from shenhe.errors import UsageError
from shenhe.team.database import METADATA
from shenhe.team.passwords import Weakness

Role = Literal["inspector", "lead"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
MAX_NAME: Final = 80
"""Length of the longest name. Units: characters."""
Problem = Literal["name", "taken", "unknown", "last_lead", "first_lead", "role"] | Weakness
ACCOUNTS: Final = Table(
    "team_accounts",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("hash", Text),
    Column("is_active", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("link", Text, unique=True),
    Column("link_until", Float),
    Column("created_at", Text, nullable=False),
)
"""`generation` counts changes of the password and of the state: a session holds for one of them."""


class Account(NamedTuple):
    """An account without its secrets.

    `link_until` is when its link to set a password ends, in seconds since 1970; None without one.

    Example:
        accounts.find("李工").is_lead  # True

    """

    key: str
    name: str
    role: Role
    is_active: bool
    has_password: bool
    generation: int
    link_until: float | None

    @property
    def is_lead(self) -> bool:
        """Whether it may manage the team and decide between two opinions."""
        return self.role == "lead"


class AccountError(UsageError):
    """What cannot be done to an account: `problem` is the word of it, for the pages.

    Example:
        raise AccountError("unknown", "李工: there is no such account")

    """

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(problem, message)
        self.problem = problem
        self.message = message

    def __str__(self) -> str:
        """Write the message."""
        return self.message


def clean_name(text: str) -> str:
    r"""Give a name as it stands in decisions: printable, with single spaces, not too long.

    >>> clean_name(" 李 \u202e工\n")
    '李 工'
    """
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words)[:MAX_NAME]


def fold_name(name: str) -> str:
    """Give the form in which names are compared: neither case nor width tells people apart.

    >>> fold_name("ＬＥＥ") == fold_name("lee")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean_name(name)).casefold())


def to_account(row: Row[tuple[object, ...]]) -> Account:
    """Read an account from its row."""
    return Account(
        row.key, row.name, row.role, row.is_active, row.hash is not None, row.generation,
        row.link_until if row.link else None,
    )  # fmt: skip


def read_role(text: str) -> Role:
    """Read a role.

    Raises: AccountError for anything else.

        >>> read_role("lead")
        'lead'
    """
    for role in ROLES:
        if text == role:
            return role
    raise AccountError("role", f"{text!a}: no role: give inspector or lead")
