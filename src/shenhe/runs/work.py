"""What a stage is to a run: its backlog, its jobs and their outcomes, and the records they become.

A stage over other inputs or with another question is a `Backlog` and a `Work` of its own: see
`run`, which does the rest, and `tests/runs/test_run.py`, which has a stage of two rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, Literal, TypeAlias, TypeVar

from shenhe.config import Mission
from shenhe.formats.recognition import AnswerKind
from shenhe.formats.text_formats import TextFormats
from shenhe.messages import Answer, PhotoSize, Request
from shenhe.row_types import CaptionFailure, Failure, Row
from shenhe.rows.responses import ResponseFailure
from shenhe.rows.row_index import RowIndex

Item = TypeVar("Item")
Value = TypeVar("Value")
Item_co = TypeVar("Item_co", covariant=True)
Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Job(Generic[Item_co]):
    """An item and the requests that it takes; request keys are unique over all jobs."""

    item: Item_co
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Success(Generic[Value_co]):
    """An answer, and the value that was read from it."""

    value: Value_co
    answer: Answer

    @property
    def attempts(self) -> int:
        """Number of times the request was sent."""
        return self.answer.attempt + 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that failed, or whose answers were all refused by the reader.

    `answer` is the last answer, or None where the engine gave none.
    """

    code: str
    message: str
    attempts: int
    answer: Answer | None = None

    @property
    def raw(self) -> str | None:
        """Text of the last answer."""
        return self.answer.text if self.answer else None


Outcome: TypeAlias = Success[Value] | Rejection


@dataclass(frozen=True, slots=True)
class FinishedJob(Generic[Item_co, Value_co]):
    """A job whose requests all have an outcome, in the order of its requests.

    Units: `began_ns` in nanoseconds since the epoch, when the job was handed to the engine.
    """

    item: Item_co
    outcomes: tuple[Success[Value_co] | Rejection, ...]
    began_ns: int

    @property
    def attempts(self) -> int:
        """Number of times that its requests were sent, retries included."""
        return sum(outcome.attempts for outcome in self.outcomes)

    @property
    def answers(self) -> list[Answer]:
        """The last answer of each request that has one."""
        return [outcome.answer for outcome in self.outcomes if outcome.answer]

    @property
    def new_tokens(self) -> int:
        """Number of tokens generated for the last answer of each request."""
        return sum(answer.new_tokens for answer in self.answers)

    @property
    def successes(self) -> list[Success[Value_co]]:
        """The requests that have a value."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, Success)]

    @property
    def rejections(self) -> list[Rejection]:
        """The requests that failed."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, Rejection)]


@dataclass(frozen=True, slots=True)
class Record:
    """What a run writes of one item: the failures, then the row; without a row the item failed.

    A row that is not `settled` decides nothing, and needs a failure that says why. `inputs_hash`
    is the fingerprint of what the row was made from. `photos`, `sizes` and `repairs` are counted.
    """

    key: str
    row: Row | None = None
    failures: Sequence[Failure | CaptionFailure | ResponseFailure] = ()
    settled: bool = True
    inputs_hash: str | None = None
    photos: int = 0
    sizes: Sequence[PhotoSize] = ()
    repairs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StaleRows:
    """Keys of rows to redo, and counts by reason of rows redone and of rows that could not be
    compared and are kept."""

    keys: set[str] = field(default_factory=set)
    redone: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class CurrentKeys:
    """The keys that have a row which is not stale."""

    done: RowIndex
    stale: set[str]

    def __contains__(self, key: object) -> bool:
        return key in self.done and key not in self.stale

    def __len__(self) -> int:
        return len(self.done) - len(self.stale)


class Backlog(ABC, Generic[Item]):
    """The input of a stage: its items, and which of them still need a row.

    `total` is the number of all items, known once `find_stale` has run. `passed_over` counts what
    is no item, by reason; `faults` describes inputs that could not be read. Both grow as items are
    listed.
    """

    total: int

    def __init__(self) -> None:
        self.passed_over: Counter[str] = Counter()
        self.faults: list[str] = []

    @abstractmethod
    def pending(self, done: Container[str]) -> Iterator[Item]:
        """Yield the items whose key is not in `done`."""

    def first_pending(self, done: Container[str], limit: int | None) -> Iterator[Item]:
        """Yield at most `limit` pending items; by default those that stand first."""
        return islice(self.pending(done), limit)

    def find_stale(self, rows_path: Path, done: RowIndex) -> StaleRows:
        """Find the rows that were made from other inputs; none by default."""
        return StaleRows()

    def drop_obsolete_failures(self, rows_path: Path) -> None:
        """Drop failures of items that no longer exist; none by default."""

    def size(self, item: Item) -> int:
        """Number of photos, or whatever a plan counts, of an item; 1 by default."""
        return 1

    def count_pending(self, done: CurrentKeys, limit: int | None) -> tuple[int, int]:
        """Count the pending items, up to `limit`, and the sum of their sizes."""
        count = total_size = 0
        for item in self.first_pending(done, limit):
            count += 1
            total_size += self.size(item)
        return count, total_size


class MissionBacklog(Backlog[Item]):
    """The items of one mission, wherever they come from."""

    mission: Mission

    @property
    @abstractmethod
    def decisive_options(self) -> dict[str, object]:
        """Where the items come from, and which of them are chosen, as manifests hold it."""


@dataclass(frozen=True, slots=True)
class AnswerFormats:
    """What the answers of a stage are, and the formats that they are read in."""

    kind: AnswerKind
    formats: TextFormats


class Work(ABC, Generic[Item, Value]):
    """One stage over one backlog by one checkpoint.

    `title` names the output in progress lines, logs, metrics and traces; `rate_unit` is what a
    speed counts, `item_unit` what progress counts.
    """

    title: str
    rate_unit: Literal["photos", "groups", "rows"] = "groups"
    item_unit: str = "groups"
    answers: AnswerFormats | None = None
    """What its answers are, where they have a format that can be told from their text."""
    backlog: Backlog[Item]
    guidance: str = ""
    """Written rules of the mission in its prompt, which the manifest keeps for people to read."""

    @abstractmethod
    def decisive_options(self) -> dict[str, object]:
        """The options that decide rows: a run with others does not go on from these rows."""

    @abstractmethod
    def jobs(self, items: Iterator[Item]) -> Iterator[Job[Item] | Record]:
        """Yield one job an item, or its record where no model is needed."""

    @abstractmethod
    def read(self, answer: Answer) -> Value:
        """Read an answer.

        Raises: FormatError; the request is then retried.
        """

    @abstractmethod
    def record(self, job: FinishedJob[Item, Value]) -> Record:
        """Make the record of an item."""

    def closing_records(self, done: RowIndex) -> Iterator[Record]:
        """Yield records of what never was an item, once all items are done; none by default."""
        return iter(())
