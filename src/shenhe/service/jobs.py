"""A job: the photos of one group that a client handed in, and what became of them.

A group with the same photos is one job, however often it is handed in; with other photos it is the
next version. Of a group's versions the highest is current: its rows are those of the run.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from shenhe.locations import Location, location_text
from shenhe.messages import PhotoFacts
from shenhe.printable import printable
from shenhe.row_types import Failure, SummaryRow, VerdictRow
from shenhe.values import Label, LeftOut, photo_key

MAX_NAME: Final = 100
"""Characters of a photo's name that reasons tell."""
JobState = Literal["queued", "running", "done", "failed"]
"""A job that is done may be undecided; one that failed could not be worked on at all."""
Lane = Literal["interactive", "bulk"]
"""Interactive jobs, which somebody waits for, are taken before bulk ones."""


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo that was handed in, where it lies, and what is known of it before any model.

    `name` is what the client called it. `problem` says why it cannot be read, empty if it can.
    Units: `size` in bytes.
    """

    location: Location
    name: str
    content_hash: str
    size: int
    facts: PhotoFacts = field(default_factory=PhotoFacts)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EmptyFolder:
    """Why a watched group has no photo: the code and the words of a run, and files left out."""

    code: str
    problem: str
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class NewJob:
    """A group that a client hands in; `contents` is the hash of its photos in their order.

    `submitted_by` is the name of the key, empty without keys. `callback` is the URL that is told
    of the end, empty for none. `label` is that of the folder of a watched group; `empty` says why
    it has no photos.
    """

    mission: str
    group_id: str
    photos: tuple[StoredPhoto, ...]
    contents: str
    lane: Lane = "interactive"
    submitted_by: str = ""
    callback: str = ""
    label: Label | None = None
    empty: EmptyFolder | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """The rows of a job, as a run would have written them.

    `summary` is None where a photo has no line, and `failures` then say why; `verdict` is always
    there, undecided where need be.
    """

    verdict: VerdictRow
    summary: SummaryRow | None = None
    failures: tuple[Failure, ...] = ()
    """Failures of Stage-A, a photo each, then the one of Stage-B."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored; `number` grows from job to job, `version` within a group.

    `problem` says why it failed. `attempts` counts how often it was taken up. `is_current` says
    that its group has no later version, `is_damaged` that its record cannot be read whole. Times
    are ISO 8601, in UTC; empty where it has not come to that.
    """

    id: str
    number: int
    version: int
    state: JobState
    new: NewJob
    submitted_at: str
    finished_at: str = ""
    result: JobResult | None = None
    problem: str = ""
    attempts: int = 0
    is_current: bool = True
    is_damaged: bool = False


def names_of_photos(new: NewJob) -> dict[str, str]:
    """Map where the photos of a job lie to what its client calls them, without folders.

    A name that stands twice is told by its photo: 图片_2 IMG_1.jpg.
    """
    names = [
        printable(re.split(r"[/\\]", photo.name.rstrip("/\\"))[-1])[:MAX_NAME] or photo_key(index)
        for index, photo in enumerate(new.photos)
    ]
    return {
        location_text(photo.location): name
        if names.count(name) == 1
        else f"{photo_key(index)} {name}"
        for index, (photo, name) in enumerate(zip(new.photos, names, strict=True))
    }


def repeat_contents(contents: str, version: int) -> str:
    """Give what stands for photos that are a version once more, with others or a verdict between.

    Whoever makes that version makes the same one.
    """
    return hashlib.sha256("\n".join((contents, "version", str(version))).encode()).hexdigest()
