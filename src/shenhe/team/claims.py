"""Who has which group open: a hold that lasts while the page is open, so that no two get the same.

A hold keeps nobody from looking or deciding; the version that a page shows does that. It ends when
its person decides or leaves, and by itself, by the clock of the database, when nobody renews it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Double, String, Table, Text, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from shenhe.database import Database, SecondsNow
from shenhe.team.database import METADATA
from shenhe.team.judgement_tables import digest_key

HOLD_SECONDS = 180
"""How long a group is held after its page was opened, or a page that is still open said so."""
CLAIMS: Final = Table(
    "team_claims",
    METADATA,
    Column("run", String(64), primary_key=True),
    Column("key_digest", String(64), primary_key=True),
    Column("key", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("page", Text, nullable=False),
    Column("until", Double, nullable=False),
)
"""`page` is the page that holds the group: one that was left must not let go for a later one."""


class Claims:
    """The groups of a run that people have open, by the keys of the groups.

    Example:
        claims = Claims(open_database(Path("out")))
        claims.take(entry.key, "李工")  # "": it is theirs; "王工": that person has it

    """

    def __init__(self, database: Database, seconds: float = HOLD_SECONDS) -> None:
        """Hold groups for so many seconds at a time."""
        self._database, self._seconds = database, seconds

    def take(self, key: str, reviewer: str, page: str = "") -> str:
        """Hold a group, or go on holding it; give the name of whoever else has it, or nothing.

        `page` is the page of that person that has it now.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be written.
        """
        dialect = postgresql if self._database.is_shared else sqlite
        mine = {
            "run": self._database.run,
            "key_digest": digest_key(key),
            "key": key,
            "reviewer": reviewer,
            "page": page,
            "until": SecondsNow() + self._seconds,
        }
        adding = dialect.insert(CLAIMS).values(**mine)
        is_free = (CLAIMS.c.until <= SecondsNow()) | (CLAIMS.c.reviewer == reviewer)
        # One statement: of two who ask at once, the second finds what the first has written.
        taking = adding.on_conflict_do_update(
            index_elements=["run", "key_digest"],
            set_={
                name: case((is_free, adding.excluded[name]), else_=CLAIMS.c[name])
                for name in ("reviewer", "page", "until")
            },
        ).returning(CLAIMS.c.reviewer)
        with self._database.transaction_of_the_moment() as connection:
            holder: str = connection.execute(taking).scalar_one()
        return "" if holder == reviewer else holder

    def release(self, key: str, reviewer: str, page: str = "") -> None:
        """Let others have a group that a person holds, from any page or from one.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be written.
        """
        is_theirs = (CLAIMS.c.key_digest == digest_key(key)) & (CLAIMS.c.reviewer == reviewer)
        if page:
            is_theirs &= CLAIMS.c.page == page
        is_over = CLAIMS.c.until <= SecondsNow()
        releasing = delete(CLAIMS).where(CLAIMS.c.run == self._database.run, is_theirs | is_over)
        with self._database.transaction_of_the_moment() as connection:
            connection.execute(releasing)

    def held(self, *, but: str = "") -> dict[str, str]:
        """Give who holds which group, by key, without what one person holds.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be read.
        """
        query = select(CLAIMS.c.key, CLAIMS.c.reviewer).where(
            CLAIMS.c.run == self._database.run,
            CLAIMS.c.until > SecondsNow(),
            CLAIMS.c.reviewer != but,
        )
        with self._database.reading() as connection:
            return {row.key: row.reviewer for row in connection.execute(query)}
