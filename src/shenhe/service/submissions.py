"""Submissions: photos that have come in become a job that is on disk.

Accepted means: the photos are synced in their place, then the job is committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from shenhe.config import Mission, Missions
from shenhe.errors import PhotoError, closest
from shenhe.photos.opening import read_facts
from shenhe.service.inbox import Inbox, ReceivedPhoto, Reception
from shenhe.service.jobs import Job, Lane, NewJob, StoredPhoto, repeat_contents
from shenhe.service.limits import MAX_NAME, Limits
from shenhe.service.refusals import RefusedError
from shenhe.service.store import JobStore

LANES: Final[dict[str, Lane]] = {"": "interactive", "interactive": "interactive", "bulk": "bulk"}
TOO_LARGE: Final = "too_large"
NO_PHOTO: Final = ("empty", "not_a_photo")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client says of the group it hands in, in its own words.

    Example:
        Draft("挡风板安装检查", "QC-20230222-0000297")

    """

    mission: str
    group_id: str
    lane: str = ""
    callback: str = ""
    submitted_by: str = ""


@dataclass(frozen=True, slots=True)
class Submissions:
    """Makes jobs of what was received.

    `check_callback` refuses a URL that may not be told of the end; `wake` is called when there is
    a job.

    Example:
        job, is_new = submissions.accept(Draft(mission, group_id), reception)

    """

    store: JobStore
    inbox: Inbox
    missions: Missions
    limits: Limits
    check_callback: Callable[[str], None]
    wake: Callable[[], object]

    def check(self, draft: Draft) -> NewJob:
        """Check what is said of a group; its photos are not there yet.

        Raises: RefusedError for a mission, group, lane or callback that cannot be.
        """
        mission = self._mission(draft.mission)
        if not draft.group_id.strip() or draft.group_id != draft.group_id.strip():
            problem = "group_id: give the id of the group, without spaces around it"
            raise RefusedError(400, "bad_group_id", problem)
        if len(draft.group_id) > MAX_NAME or not draft.group_id.isprintable():
            problem = f"group_id: at most {MAX_NAME} characters, all of them printable"
            raise RefusedError(400, "bad_group_id", problem)
        if draft.lane not in LANES:
            raise RefusedError(400, "bad_lane", "lane: interactive or bulk")
        if draft.callback:
            self.check_callback(draft.callback)
        return NewJob(
            mission.name,
            draft.group_id,
            (),
            "",
            LANES[draft.lane],
            draft.submitted_by,
            draft.callback,
        )

    def accept(self, draft: Draft, reception: Reception) -> tuple[Job, bool]:
        """Make a job of a submission that is whole; on return both are on disk.

        Returns the job, and whether it is new: the same photos of the same group are one job.
        Raises: RefusedError for what cannot be; DatabaseAwayError or RunError, with nothing
        accepted or, where the database was lost at the last moment, the same job when it is sent
        again.
        """
        new = self.check(draft)
        if not reception.photos:
            raise RefusedError(400, "no_photos", "photos: give at least one")
        contents = hash_contents(photo.content_hash for photo in reception.photos)
        current = self.store.latest(new.mission, new.group_id)
        if current and current.state != "failed" and _has_photos(current, contents):
            return current, False
        photos = [self._look_at(photo) for photo in reception.photos]
        paths = self.inbox.place(reception)
        placed = (replace(photo, location=path) for photo, path in zip(photos, paths, strict=True))
        # From here on the photos stay: a commit may be done though its answer never came.
        reception.is_kept = True
        job, is_new = self.store.submit(replace(new, photos=tuple(placed), contents=contents))
        # Its own photos also where the job is known: the answer to its commit was lost, and it was
        # written twice.
        reception.is_kept = any(photo.location in paths for photo in job.new.photos)
        self.wake()
        return job, is_new

    def _mission(self, name: str) -> Mission:
        mission = self.missions.find(name)
        if mission is not None:
            return mission
        names = [mission.name for mission in self.missions]
        hint = closest(name, names)
        meant = hint or ", ".join(names)
        problem = f"mission: {name[:MAX_NAME]!r} is unknown; there is: {meant}"
        raise RefusedError(400, "unknown_mission", problem)

    def _look_at(self, photo: ReceivedPhoto) -> StoredPhoto:
        """Take the facts of a photo; one that cannot be read is told of, and costs the verdict.

        Raises: RefusedError for one that is too large to be opened, or none at all.
        """
        stored = StoredPhoto(photo.path, photo.name, photo.content_hash, photo.size)
        try:
            return replace(stored, facts=read_facts(photo.path, self.limits.photo_pixels))
        except PhotoError as error:
            problem = str(error).removeprefix(f"{photo.path}: ")
            if error.code == TOO_LARGE:
                raise self._too_large(photo) from error
            if error.code in NO_PHOTO:
                raise RefusedError(415, "kind_not_read", f"{photo.name}: {problem}") from error
            return replace(stored, problem=f"{error.code}: {problem}")

    def _too_large(self, photo: ReceivedPhoto) -> RefusedError:
        limit = self.limits.photo_pixels
        problem = f"{photo.name}: over the limit of {limit:,} pixels"
        return RefusedError(413, "photo_too_large", problem)


def _has_photos(job: Job, contents: str) -> bool:
    """Whether the photos of a job are these, also if they were made a version once more."""
    return job.new.contents in (contents, repeat_contents(contents, job.version))


def hash_contents(hashes: Iterable[str]) -> str:
    """Hash the photos of a group in their order, by their own hashes."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
