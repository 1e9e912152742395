"""What reviewers of a run share: one database, SQLite beside its decisions or PostgreSQL."""

from shenhe.team.accounts import Account, AccountError, Accounts, Role
from shenhe.team.database import METADATA, Database, open_database
from shenhe.team.events import Event, Events
from shenhe.team.passwords import Passwords
from shenhe.team.people import People
from shenhe.team.sessions import Refusal, Sessions, SignedIn

__all__ = [
    "METADATA",
    "Account",
    "AccountError",
    "Accounts",
    "Database",
    "Event",
    "Events",
    "Passwords",
    "People",
    "Refusal",
    "Role",
    "Sessions",
    "SignedIn",
    "open_database",
]
