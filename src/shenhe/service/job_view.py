"""A job as its page shows it: photos beside their lines, marks of photos, the verdict."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shenhe.formats.verdict import photos_named
from shenhe.languages import Language, Words
from shenhe.locations import location_text
from shenhe.photos.flags import flag_photos
from shenhe.printable import printable
from shenhe.row_types import Failure, VerdictRow
from shenhe.rows.photo_marks import PhotoMark, PhotoMarks
from shenhe.rows.problem_words import PHOTO_WORDS, words_of_failure
from shenhe.rows.reason_parts import ReasonPart, split_at_photos, split_code
from shenhe.service.jobs import Job, StoredPhoto
from shenhe.service.shown import is_over
from shenhe.values import UNDECIDED_CODES, ReusedPhoto, photo_key
from shenhe.web.pictures import photo_tag


class PhotoView(NamedTuple):
    """A photo of a job: its line, if there is one, and what is wrong with it."""

    key: str
    name: str
    tag: str
    line: str
    named: bool
    damaged_inside: str
    problem: Words | None
    is_unreadable: bool
    is_gone: bool
    marks: Sequence[PhotoMark]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, its photos, and the parts of its reason.

    Example:
        view = view_job(job, find_uses(store, job.new), "zh")

    """

    job: Job
    photos: Sequence[PhotoView]
    verdict: VerdictRow | None
    code: str
    reason: Sequence[ReasonPart]
    coded = UNDECIDED_CODES

    @property
    def is_over(self) -> bool:
        """Whether nothing more will become of it."""
        return is_over(self.job)


def view_job(job: Job, reused: Sequence[ReusedPhoto], language: Language) -> JobView:
    """Lay out a job, of whose photos it is known where else they are used, in a language.

    Example:
        view_job(job, find_uses(store, job.new), "zh").photos[0].line

    """
    verdict = job.result.verdict if job.result else None
    photos = job.new.photos
    flags = flag_photos(job.new.group_id, [photo.facts for photo in photos], reused)
    marks = PhotoMarks(flags, reused)
    lines = job.result.summary.per_image if job.result and job.result.summary else {}
    problems = _problems_of(job)
    named = photos_named(verdict.reason) if verdict else set()
    return JobView(
        job,
        [
            _view_photo(photo, index, lines, problems, named, marks)
            for index, photo in enumerate(photos)
        ],
        verdict,
        split_code(verdict.verdict, verdict.reason, language)[0] if verdict else "",
        split_at_photos(verdict, len(photos), language) if verdict else [],
    )


def _view_photo(
    photo: StoredPhoto,
    index: int,
    lines: Mapping[str, str],
    problems: Mapping[str, Words],
    named: Container[str],
    marks: PhotoMarks,
) -> PhotoView:
    key, image = photo_key(index), location_text(photo.location)
    return PhotoView(
        key,
        printable(photo.name),
        photo_tag(image),
        lines.get(key, ""),
        key in named,
        photo.facts.damaged_inside or "",
        problems.get(image) or _words_of_problem(photo),
        bool(photo.problem),
        isinstance(photo.location, Path) and not os.path.exists(photo.location),
        marks.of_photo(index),
    )


def _problems_of(job: Job) -> dict[str, Words]:
    failures: Sequence[Failure] = job.result.failures if job.result else ()
    return {failure.item: words_of_failure(failure) for failure in failures}


def _words_of_problem(photo: StoredPhoto) -> Words | None:
    """Say what is wrong with a photo that came in; its problem begins with a code."""
    if not photo.problem:
        return None
    return PHOTO_WORDS.get(photo.problem.partition(":")[0], PHOTO_WORDS["unreadable"])
