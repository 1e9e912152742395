"""What reviewers of a run share: one database, SQLite beside its decisions or PostgreSQL."""

from shenhe.team.accounts import Account, AccountError, Accounts, Role
from shenhe.team.claims import Claims
from shenhe.team.database import METADATA, Database, open_database
from shenhe.team.decision_log import SharedDecisions, follow_run
from shenhe.team.events import Event, Events
from shenhe.team.passwords import Passwords
from shenhe.team.people import People
from shenhe.team.sessions import Refusal, Sessions, SignedIn

__all__ = [
    "METADATA",
    "Account",
    "AccountError",
    "Accounts",
    "Claims",
    "Database",
    "Event",
    "Events",
    "Passwords",
    "People",
    "Refusal",
    "Role",
    "Sessions",
    "SharedDecisions",
    "SignedIn",
    "follow_run",
    "open_database",
]
