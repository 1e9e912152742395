"""Second opinions: what a person decides of a decided group without knowing of the first decision.

They are rows of their own, which only ever grow, and never the current decision of a group. Each
server reads those that are new to it before it answers.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

from pydantic import Field
from pydantic_core import from_json
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Select,
    String,
    Table,
    Text,
    func,
    insert,
    select,
)

from shenhe.database import Database
from shenhe.errors import ConflictError
from shenhe.row_types import utc_now
from shenhe.rows.decision_rows import Decision, JudgedGroup, Judgement, Opinion
from shenhe.rows.second_plans import SecondOf, SecondPlan
from shenhe.team.database import METADATA
from shenhe.team.events import Events
from shenhe.team.judgement_tables import digest_key, judgement_columns

OPINIONS: Final = Table(
    "second_opinions",
    METADATA,
    *judgement_columns(),
    Column("first", BigInteger, nullable=False),
    Column("share", Double, nullable=False),
)
PLANS: Final = Table(
    "second_plans",
    METADATA,
    Column("run", String(64), primary_key=True),
    Column("seed", Text, nullable=False),
    Column("share", Double, nullable=False),
    Column("of", Text, nullable=False),
    Column("at", Text, nullable=False),
)


class SecondOpinion(Judgement):
    """What a second person judged of a decided group, without knowing of the decision.

    `first` is the number of that decision, `share` the probability with which it was drawn.

    Example:
        opinion = SecondOpinion.judge(group, opinion, "王工", 1, first=12, share=0.1)

    """

    first: int
    share: float = Field(gt=0, le=1)


class Drawn(NamedTuple):
    """What a second opinion is given on: the decision before it, and the share of the draw.

    Example:
        drawn = Drawn(decisions.current(group.key), plan.share)

    """

    first: Decision
    share: float


class SecondOpinions:
    """The second opinions of a run.

    Example:
        opinions = SecondOpinions(open_database(Path("out")))
        opinions.standing(entry.key)  # [SecondOpinion(...)]

    """

    def __init__(self, database: Database) -> None:
        """Read and write the second opinions of a run."""
        self._database, self._lock = database, Lock()
        self._rows: dict[str, list[SecondOpinion]] = defaultdict(list)
        self._last = 0

    def plan(self, share: float | None = None, of: SecondOf | None = None) -> SecondPlan | None:
        """Give the plan of the run, changed to another share or to other decisions; None for none.

        Its seed is drawn once: a larger share holds all of a smaller one.
        Raises: RunError if the database cannot be read or written.
        """
        with self._database.alone(f"second plan {self._database.run}") as connection:
            query = select(PLANS).where(PLANS.c.run == self._database.run)
            row = connection.execute(query).first()
            before = None
            if row is not None:
                cells = {"seed": row.seed, "share": row.share, "of": row.of, "timestamp": row.at}
                before = SecondPlan.model_validate(cells)
            if share is None and of is None:
                return before
            plan = SecondPlan(
                seed=before.seed if before else secrets.token_hex(16),
                share=share or (before.share if before else 1.0),
                of=of or (before.of if before else "all"),
                timestamp=utc_now(),
            )
            if before and (before.share, before.of) == (plan.share, plan.of):
                return before
            self._write_plan(connection, plan, is_new=before is None)
        return plan

    def standing(self, key: str) -> list[SecondOpinion]:
        """List the second opinions on a group that were not taken back, one of each person.

        Raises: RunError if the database cannot be read.
        """
        self._follow()
        return _standing(self._rows.get(key, []))

    def all_standing(self) -> dict[str, list[SecondOpinion]]:
        """Give those of all groups by key; groups without any are left out.

        Raises: RunError if the database cannot be read.
        """
        self._follow()
        with self._lock:
            keys = list(self._rows)
        found = ((key, _standing(self._rows[key])) for key in keys)
        return {key: opinions for key, opinions in found if opinions}

    def version(self, key: str) -> int:
        """Give the last version for a group; 0 without any.

        Raises: RunError if the database cannot be read.
        """
        self._follow()
        rows = self._rows.get(key, [])
        return rows[-1].version if rows else 0

    def trail(self, before: int | None = None, count: int = 100) -> list[SecondOpinion]:
        """List those of all people below a number, the last one first.

        Raises: RunError if the database cannot be read.
        """
        query = self._select().order_by(OPINIONS.c.number.desc()).limit(count)
        if before is not None:
            query = query.where(OPINIONS.c.number < before)
        with self._database.reading() as connection:
            return [_to_opinion(row._asdict()) for row in connection.execute(query)]

    def add(
        self, group: JudgedGroup, opinion: Opinion, reviewer: str, version: int, drawn: Drawn
    ) -> SecondOpinion:
        """Write a second opinion; on return it is on disk.

        Raises: ConflictError if that version is not the next one; RunError if it cannot be written.
        """
        fields = {"first": drawn.first.number, "share": drawn.share}
        row = SecondOpinion.judge(group, opinion, reviewer, version, **fields)
        return self._append(row)

    def undo(self, reviewer: str) -> SecondOpinion | None:
        """Take back the last second opinion of a person; None if there is none.

        What that person had said of the group before, as 待定, holds again.
        Raises: ConflictError if somebody else has given one on that group since; RunError.
        """
        self._follow()
        with self._lock:
            rows = [row for of_key in self._rows.values() for row in of_key]
        undone = {row.undoes for row in rows}
        kept = [row for row in rows if row.undoes is None and row.number not in undone]
        own = [row for row in kept if row.reviewer == reviewer]
        if not own:
            return None
        last = max(own, key=lambda row: row.number)
        if any(row.key == last.key and row.number > last.number for row in kept):
            raise ConflictError(last.key, "somebody else has given a second opinion meanwhile")
        of_key = self._rows[last.key]
        earlier = [row for row in of_key if row.reviewer == reviewer and row.number < last.number]
        before = earlier[-1] if earlier else last.model_copy(update={"opinion": None})
        changes = {"at": utc_now(), "undoes": last.number, "version": of_key[-1].version + 1}
        return self._append(before.model_copy(update=changes))

    def _append(self, row: SecondOpinion) -> SecondOpinion:
        """Append a row under the next number: numbers are committed in their order."""
        with self._database.alone(f"second opinions {self._database.run}") as connection:
            of_run = OPINIONS.c.run == self._database.run
            of_key = OPINIONS.c.key_digest == digest_key(row.key)
            last = select(func.max(OPINIONS.c.version)).where(of_run, of_key)
            if row.version != (connection.execute(last).scalar_one() or 0) + 1:
                raise ConflictError(row.key, "somebody else has given a second opinion meanwhile")
            newest = connection.execute(select(func.max(OPINIONS.c.number)).where(of_run))
            numbered = row.model_copy(update={"number": (newest.scalar_one() or 0) + 1})
            cells = numbered.model_dump(by_alias=True, exclude={"opinion"})
            cells["said"] = row.opinion.to_json() if row.opinion else None
            cells |= {"run": self._database.run, "key_digest": digest_key(row.key)}
            connection.execute(insert(OPINIONS).values(cells))
        return numbered

    def _write_plan(self, connection: Connection, plan: SecondPlan, *, is_new: bool) -> None:
        of_run = PLANS.c.run == self._database.run
        cells = {"seed": plan.seed, "share": plan.share, "of": plan.of, "at": plan.timestamp}
        if is_new:
            connection.execute(insert(PLANS).values(cells | {"run": self._database.run}))
        else:
            connection.execute(PLANS.update().where(of_run).values(cells))
        record = Events(self._database).record
        record(connection, "second_planned", "shenhe review", share=plan.share, of=plan.of)

    def _follow(self) -> None:
        """Read the rows that are new.

        Raises: RunError if the database cannot be read.
        """
        with self._lock:
            query = self._select().where(OPINIONS.c.number > self._last)
            with self._database.reading() as connection:
                rows = connection.execute(query.order_by(OPINIONS.c.number)).all()
            for row in rows:
                opinion = _to_opinion(row._asdict())
                self._rows[opinion.key].append(opinion)
                self._last = opinion.number

    def _select(self) -> Select[tuple[object, ...]]:
        columns = [OPINIONS.c[name] for name in _COLUMNS]
        return select(*columns).where(OPINIONS.c.run == self._database.run)


_COLUMNS: Final = [column.name for column in OPINIONS.c if column.name not in ("run", "key_digest")]


def _standing(rows: list[SecondOpinion]) -> list[SecondOpinion]:
    """Give the last row of each person, where that is an opinion."""
    last = {row.reviewer: row for row in rows}
    return [row for row in last.values() if row.opinion is not None]


def _to_opinion(cells: Mapping[str, object]) -> SecondOpinion:
    said = from_json(str(cells["said"])) if cells["said"] else None
    return SecondOpinion.model_validate({**cells, "said": said})
