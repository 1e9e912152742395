"""What a report tells of photos beside the model: counts of flags, and the groups with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.photos.flags import FLAGS
from shenhe.rows.photo_marks import (
    PhotoMarks,
    earlier_runs_of,
    facts_of,
    mark_photos,
    opened_index,
    owner_of,
)
from shenhe.rows.readers import read_summaries
from shenhe.rows.words import FLAG_WORDS, Words
from shenhe.shards import list_rows_files

MAX_GROUPS: Final = 20
"""Groups that are named for one flag."""


class FlagCount(NamedTuple):
    """How many photos and groups have a flag, and the first of these groups."""

    flag: str
    words: Words
    photos: int
    groups: int
    named: list[str]


@dataclass(slots=True)
class MarkReading:
    """The flags of a run: counts of all groups, and the marks of those that are shown, by key.

    Example:
        reading = read_marks(Path("out"), shown=set())
        print([(count.flag, count.groups) for count in reading.counts])

    """

    shown: dict[str, PhotoMarks] = field(default_factory=dict)
    photos: int = 0
    without_facts: int = 0
    _photos: Counter[str] = field(default_factory=Counter)
    _groups: Counter[str] = field(default_factory=Counter)
    _named: dict[str, list[str]] = field(default_factory=dict)

    def add(self, group_id: str, marks: PhotoMarks) -> None:
        """Count the flags of a group."""
        self._photos.update(flag for flags in marks.flags for flag in flags)
        for flag in marks.all_flags:
            self._groups[flag] += 1
            named = self._named.setdefault(flag, [])
            if len(named) < MAX_GROUPS:
                named.append(group_id)

    @property
    def counts(self) -> list[FlagCount]:
        """The flags that occur, in the order in which they are told."""
        return [
            FlagCount(
                flag, FLAG_WORDS[flag], self._photos[flag], self._groups[flag], self._named[flag]
            )
            for flag in FLAGS
            if self._groups[flag]
        ]


def read_marks(run_dir: Path, shown: Container[str]) -> MarkReading:
    """Read the marks of all photos of a run, compared with each other and with earlier runs.

    Raises: RunError for rows of another form.
    """
    paths = list_rows_files(run_dir / "stage_a")
    reading = MarkReading()
    with opened_index(paths, earlier_runs_of(run_dir)) as index:
        for path in paths:
            for row in read_summaries(path):
                facts = facts_of(row)
                reading.photos += len(facts)
                reading.without_facts += sum(photo is None for photo in facts)
                marks = mark_photos(row, index.find(owner_of(row), facts))
                reading.add(row.group_id, marks)
                if row.key in shown:
                    reading.shown[row.key] = marks
    return reading
