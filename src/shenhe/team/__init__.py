"""What reviewers of a run share: one database, SQLite beside its decisions or PostgreSQL."""

from shenhe.team.claims import Claims
from shenhe.team.database import METADATA, Database, open_database
from shenhe.team.decision_log import SharedDecisions, follow_run

__all__ = ["METADATA", "Claims", "Database", "SharedDecisions", "follow_run", "open_database"]
