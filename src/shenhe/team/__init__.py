"""What reviewers of a run share: one database, SQLite beside its decisions or PostgreSQL."""

from shenhe.team.database import METADATA, Database, open_database

__all__ = ["METADATA", "Database", "open_database"]
