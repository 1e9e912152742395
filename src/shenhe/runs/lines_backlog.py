"""Groups with their lines, which await a verdict."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Container, Iterator, Mapping

from shenhe.row_types import SummaryRow
from shenhe.rows.duplicates import DuplicateRows
from shenhe.rows.row_index import RowIndex
from shenhe.runs.incomplete import IncompleteGroup
from shenhe.runs.work import MissionBacklog, Record


class LinesBacklog(MissionBacklog[SummaryRow]):
    """The groups of one mission that have lines; `repeated` are those with several rows of them."""

    def __init__(self) -> None:
        super().__init__()
        self.repeated: Mapping[str, DuplicateRows] = {}

    @abstractmethod
    def incomplete_groups(self, done: RowIndex) -> Iterator[IncompleteGroup]:
        """Yield the groups that Stage-A could not complete and that have no verdict row."""

    @abstractmethod
    def bad_rows(self, done: Container[str]) -> Iterator[Record]:
        """Yield the failures of lines that are no rows of the mission."""
