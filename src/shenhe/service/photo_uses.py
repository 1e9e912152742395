"""Which photos other groups have too, told as soon as a group is handed in.

Equal files only; those that look nearly equal are found with the verdict, which compares all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shenhe.photos.reuse import MAX_USES
from shenhe.service.jobs import Job, NewJob
from shenhe.service.shown import Shown, show_job
from shenhe.service.store import JobStore
from shenhe.values import ReusedPhoto, photo_key

LOOKED_AT: Final = 4 * MAX_USES
"""Jobs with a photo that are looked at: some may be earlier versions of one group."""


def find_uses(store: JobStore, new: NewJob) -> list[ReusedPhoto]:
    """List the uses of a group's photos in other groups, in the order of its photos.

    Raises: DatabaseAwayError; RunError.

    Example:
        show_job(job, find_uses(store, job.new))

    """
    uses: list[ReusedPhoto] = []
    for index, photo in enumerate(new.photos):
        uses += list(dict.fromkeys(_uses_of(store, new, index, photo.content_hash)))[:MAX_USES]
    return uses


def show_with_uses(store: JobStore, job: Job) -> Shown:
    """Show a job, and which of its photos other groups have.

    Raises: DatabaseAwayError; RunError.
    """
    return show_job(job, find_uses(store, job.new))


def _uses_of(store: JobStore, new: NewJob, index: int, content: str) -> Iterator[ReusedPhoto]:
    for job in store.with_photo(content, LOOKED_AT):
        group_id, mission = job.new.group_id, job.new.mission
        if (group_id, mission) != (new.group_id, new.mission):
            same_order = group_id == new.group_id
            yield ReusedPhoto(photo_key(index), group_id, mission, same_order=same_order)
