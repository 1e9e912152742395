"""What a document of a sheet shows, whichever its form: groups, their facts, rows of totals."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shenhe.errors import RunError, spelled
from shenhe.report.photos import (
    NO_PATH,
    Captions,
    ShownPhoto,
    mark_groups,
    read_shown_captions,
    show_photos,
)
from shenhe.report.reading import VERDICTS, MissionTotals, SheetGroup, SheetReading
from shenhe.report.sheet.head import HeadLine
from shenhe.report.sheet.words import Speaker
from shenhe.rows.foreign import extra_of, extra_texts
from shenhe.rows.photo_marks import PhotoMarks
from shenhe.rows.problem_words import PHOTO_WORDS

MAX_PHOTOS: Final = 20_000
"""Maximum number of photos of a document: more take gigabytes of memory, and nobody prints them."""
MAX_TEXT: Final = 20_000
"""Maximum number of characters of one text of a document; the workbook holds longer ones."""
MAX_VALUE: Final = 400
"""Maximum number of characters of a field of another tool."""


@dataclass(frozen=True, slots=True)
class SheetDocument:
    """What a document shows. `head` ends with the bound on false passes."""

    say: Speaker
    reading: SheetReading
    made: datetime
    head: Sequence[HeadLine]
    shown: Sequence[SheetGroup]
    captions: Captions
    marks: Mapping[str, PhotoMarks]

    @property
    def hidden(self) -> str:
        """Say how many groups are not shown; empty where all are."""
        groups = self.reading.whole.groups
        if groups == len(self.shown):
            return ""
        return self.say.words["hidden"].format(
            shown=f"{len(self.shown):,}", hidden=f"{groups - len(self.shown):,}"
        )

    @property
    def totals(self) -> Iterator[MissionTotals]:
        """The counts of each mission, and of all where there are several."""
        yield from self.reading.totals.values()
        if len(self.reading.totals) > 1:
            yield self.reading.whole

    def photos(self, group: SheetGroup, side: int) -> Iterator[ShownPhoto]:
        """Show the photos of a group. Units: `side` in pixels, of the longer side."""
        yield from show_photos(group, self.captions, self.marks.get(group.row.key), side)


def choose_shown(reading: SheetReading, max_groups: int) -> list[SheetGroup]:
    """Read the groups, and keep the ones to be shown: undecided ones, disagreements, the rest.

    They are given in the order of a sheet: undecided, failed, passed, each in the order of rows.
    Raises: RunError if they have too many photos, or see `SheetReading.groups`.
    """
    kept: list[tuple[int, int, SheetGroup]] = []
    for order, group in enumerate(reading.groups()):
        entry = (-_need(group), -order, group)
        if len(kept) < max_groups:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    photos = sum(len(group.photo_keys) for _, _, group in kept)
    if photos > MAX_PHOTOS:
        raise RunError(
            f"{photos:,} photos in {len(kept):,} groups are too many for one document, which holds"
            f" {MAX_PHOTOS:,}: lower {spelled('max_groups')}, or choose fewer groups"
        )
    ranks = {verdict: rank for rank, verdict in enumerate(reversed(VERDICTS))}
    kept.sort(key=lambda entry: (ranks[entry[2].final], -entry[1]))
    return [group for _, _, group in kept]


def describe_group(say: Speaker, group: SheetGroup, reading: SheetReading) -> Iterator[HeadLine]:
    """Say what is known of a group beside its photos, a line each."""
    words, row, decision = say.words, group.row, group.decision
    yield HeadLine(words["column_mission"], row.mission)
    if group.label is not None:
        yield HeadLine(words["label"], say.label(group.label))
    yield HeadLine(words["model_said"], say.machine(row, reading.zone))
    yield HeadLine(words["why"], say.why(row))
    yield HeadLine(words["reason"], say.reason(row))
    yield HeadLine(words["model_text"], "" if row.verdict else row.raw)
    yield HeadLine(words["evidence"], words["joint"].join(say.evidence(row)))
    if decision is None or decision.opinion is None:
        yield HeadLine(words["people_said"], words["not_reviewed"])
    else:
        at = say.time(decision.at, reading.zone)
        text = words["people_said_text"].format(
            choice=decision.opinion.choice, reviewer=decision.reviewer, at=at
        )
        yield HeadLine(words["people_said"], text)
        yield HeadLine(words["faults"], say.faults(decision))
        yield HeadLine(words["comment"], decision.opinion.comment)
    left_out = group.summary.meta.left_out if group.summary else []
    yield HeadLine(words["left_out"], words["listed"].join(file.path for file in left_out))
    texts = extra_texts(extra_of(group.summary, row))
    fields = (f"{name}{words['colon']}{text[:MAX_VALUE]}" for name, text in texts)
    yield HeadLine(words["other_fields"], words["joint"].join(fields))


def facts_of_group(say: Speaker, group: SheetGroup, reading: SheetReading) -> list[HeadLine]:
    """List what is known of a group, without what is empty; long texts are cut, visibly."""
    return [
        HeadLine(name, text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…")
        for name, text in describe_group(say, group, reading)
        if text.strip()
    ]


def describe_photo(say: Speaker, photo: ShownPhoto) -> list[str]:
    """Say what is seen on a photo, and what is told of it: its line first."""
    lines = [photo.line or say.words["no_line"]]
    lines += [
        f"{getattr(mark.words, say.language)}{say.words['colon'] if mark.uses else ''}{mark.uses}"
        for mark in photo.marks
    ]
    return [*lines, say.words["damaged_inside"]] if photo.damage else lines


def describe_problem(say: Speaker, photo: ShownPhoto) -> str:
    """Say in a sentence why there is no picture of a photo."""
    if photo.problem == NO_PATH:
        return say.words["no_photo_path"]
    words = PHOTO_WORDS.get(photo.problem)
    if words is None:
        return say.words["photo_problem"].format(code=photo.problem)
    return str(getattr(words, say.language))


def list_columns(say: Speaker) -> tuple[str, ...]:
    """Name the columns of the list of groups."""
    names = ("number", "group", "mission", "photos", "machine", "decision", "final", "reviewer")
    return tuple(say.words[f"column_{name}"] for name in names)


def list_row(say: Speaker, number: int, group: SheetGroup) -> tuple[str, ...]:
    """Give a row of the list of groups, as texts."""
    return (
        *(str(number), group.row.group_id, group.row.mission, str(len(group.photo_keys))),
        *(say.verdict(group.row.verdict), say.decision(group.decision), say.verdict(group.final)),
        group.decision.reviewer if group.decision else "",
    )


def totals_columns(say: Speaker) -> tuple[str, ...]:
    """Name the columns of the totals."""
    words = say.words
    verdicts = (say.verdict(verdict) for verdict in VERDICTS)
    names = (words["column_mission"], words["figure_groups"], words["column_photos"], *verdicts)
    return (*names, words["figure_decided"], words["share_label"], words["share_decision"])


def totals_row(say: Speaker, totals: MissionTotals) -> tuple[str, ...]:
    """Give a row of the totals, as texts: shares with their intervals."""
    return (
        totals.mission or say.words["row_all"],
        *(f"{number:,}" for number in (totals.groups, totals.photos)),
        *(f"{totals.final[verdict]:,}" for verdict in VERDICTS),
        f"{totals.decided:,}",
        *(
            f"{say.percent(scores.false_pass)}\n{say.interval(scores.false_pass)}"
            for scores in (totals.by_label, totals.by_decision)
        ),
    )


def read_looks(
    reading: SheetReading, shown: Sequence[SheetGroup]
) -> tuple[Captions, Mapping[str, PhotoMarks]]:
    """Read the captions of the photos that are shown, and what is told of them.

    Raises: RunError for rows of another form.
    """
    summaries = [group.summary for group in shown if group.summary is not None]
    images = {image for group in shown for image in group.images}
    captions = read_shown_captions(reading.run_dir, images)
    return captions, mark_groups(reading.run_dir, summaries)


def _need(group: SheetGroup) -> int:
    if group.final is None:
        return 0
    is_against = group.is_false_pass or (group.decision is not None and group.decision.overrules)
    return 1 if is_against else 2
