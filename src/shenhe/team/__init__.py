"""What reviewers of a run share: one database, SQLite beside its decisions or PostgreSQL."""

from shenhe.team.account_rows import Account, AccountError, clean_name, read_role
from shenhe.team.accounts import Accounts
from shenhe.team.claims import Claims
from shenhe.team.database import METADATA, open_database
from shenhe.team.decision_log import SharedDecisions, follow_run
from shenhe.team.passwords import Passwords
from shenhe.team.people import People
from shenhe.team.second_opinions import Drawn, SecondOpinion, SecondOpinions
from shenhe.team.sessions import Refusal, Sessions, SignedIn

__all__ = [
    "METADATA",
    "Account",
    "AccountError",
    "Accounts",
    "Claims",
    "Drawn",
    "Passwords",
    "People",
    "Refusal",
    "SecondOpinion",
    "SecondOpinions",
    "Sessions",
    "SharedDecisions",
    "SignedIn",
    "clean_name",
    "follow_run",
    "open_database",
    "read_role",
]
