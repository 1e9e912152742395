"""Groups as the index gives them: an entry of the queue, or all rows of a group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Self

from pydantic import JsonValue

from shenhe.row_types import CaptionRow, SummaryRow, VerdictRow
from shenhe.rows.decision_moves import give_to
from shenhe.rows.decision_rows import Decision
from shenhe.rows.foreign import extra_of, extra_texts
from shenhe.rows.photo_marks import PhotoMarks, mark_photos
from shenhe.values import Label, ReusedPhoto, Ruling


class QueueEntry(NamedTuple):
    """A line of the queue: the group, the verdict of the model and the choice of a person.

    `inputs` is the fingerprint of the photos, without their times. `choice` is None where nobody
    has decided, or only on other photos; `reviewer`, `at` and the number `decision` go with it.
    `photos` is their number, -1 where Stage-A is not complete, and `tag` identifies the first one.
    `why` are the codes for which the model left the group undecided; `marked` says that something
    is said of a photo beside the model, `drawn` that the blind audit drew the group.

        [entry.choice for entry in index.page(Filters(state="open"), count=2)]  # [None, None]
    """

    number: int
    key: str
    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    p_pass: float | None
    reason: str
    inputs: str | None
    choice: str | None
    overrules: bool
    reviewer: str | None
    at: str | None
    decision: int
    photos: int
    tag: str
    why: tuple[str, ...]
    marked: bool
    drawn: bool


class History(NamedTuple):
    """The decisions on a group, the last one first, also those of before it moved to another label.

    `last` is the last one of those that count, `version` that of the last one under its own key.

    Example:
        history = index.history(entry)
        Decision.on(entry, opinion, "李工", history.version + 1)

    """

    rows: Sequence[Decision]
    last: Decision | None
    version: int

    @classmethod
    def of(
        cls, entry: QueueEntry, own: Sequence[Decision], former: Iterable[Sequence[Decision]]
    ) -> Self:
        """Join what was decided of a group now, and under former keys, each the last one first.

        Decisions under a former key count only where they are on the same photos.
        """
        moved = [
            [give_to(row, entry.key) for row in rows]
            for rows in former
            if rows and (rows[0].inputs is not None or rows[0].opinion is None)
        ]
        chosen = [rows[0] for rows in moved if rows[0].opinion]
        counting = [row for row in chosen if row.inputs == entry.inputs]
        counting += [row for row in own[:1] if row.opinion]
        last = max(counting or chosen or own[:1], key=lambda row: row.number, default=None)
        rows = sorted((*own, *chain(*moved)), key=lambda row: row.number, reverse=True)
        return cls(rows, last, own[0].version if own else 0)


class Progress(NamedTuple):
    """Number of groups, of those that people decided, and of those that they overruled.

    Example:
        progress = index.progress(Filters())
        progress.groups - progress.decided  # what is left to do

    """

    groups: int
    decided: int
    overruled: int


@dataclass(frozen=True, slots=True)
class GroupRows:
    """A group with its rows; `captions` are by the path of their photo.

    Where Stage-A is not complete, `summary` is None, there are no lines, and `images` are the
    photos in the folder of the one that failed.

        list(index.group(1).lines)  # ['图片_1', '图片_2']
    """

    entry: QueueEntry
    verdict: VerdictRow
    summary: SummaryRow | None
    images: Sequence[str]
    captions: Mapping[str, CaptionRow]
    reused: Sequence[ReusedPhoto] = ()

    @property
    def marks(self) -> PhotoMarks:
        """What is said of the photos beside the model."""
        return mark_photos(self.summary, self.reused) if self.summary else PhotoMarks((), ())

    @property
    def lines(self) -> Mapping[str, str]:
        """Stage-A lines by the key of their photo."""
        return self.summary.per_image if self.summary else {}

    @property
    def extra(self) -> dict[str, JsonValue]:
        """What another tool gave the group."""
        return extra_of(self.summary, self.verdict)

    @property
    def extra_texts(self) -> list[tuple[str, str]]:
        """What another tool gave the group, as people read it."""
        return extra_texts(self.extra)
