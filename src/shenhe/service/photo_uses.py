"""Which photos other groups have too, told as soon as a group is handed in.

Equal files only; those that look nearly equal are found with the verdict, which compares all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import func, select

from shenhe.photos.reuse import MAX_USES
from shenhe.service.jobs import Job, NewJob
from shenhe.service.shown import Shown, show_job
from shenhe.service.store import JobStore
from shenhe.service.tables import JOBS, PHOTOS
from shenhe.values import ReusedPhoto, photo_key

LOOKED_AT: Final = 4 * MAX_USES
"""Jobs with a photo that are looked at: some may be earlier versions of one group."""
AT_ONCE: Final = 5_000
"""Photos that are looked up by one question to the database."""
Holders = Mapping[str, Sequence[tuple[str, str]]]
"""The groups that have a photo, each with its mission, by the hash of the photo."""


def find_uses(store: JobStore, new: NewJob) -> list[ReusedPhoto]:
    """List the uses of a group's photos in other groups, in the order of its photos.

    Raises: DatabaseAwayError; RunError.

    Example:
        show_job(job, find_uses(store, job.new))

    """
    return _uses_of(new, _find_holders(store, [new]))


def show_with_uses(store: JobStore, jobs: Sequence[Job], *, names_uses: bool = True) -> list[Shown]:
    """Show jobs, and which of their photos other groups have; `names_uses` also which these are.

    Raises: DatabaseAwayError; RunError.
    """
    holders = _find_holders(store, [job.new for job in jobs])
    return [show_job(job, _uses_of(job.new, holders), names_uses=names_uses) for job in jobs]


def _find_holders(store: JobStore, groups: Collection[NewJob]) -> Holders:
    """Find the groups that have one of the photos of these; those that were first are first."""
    run = store.database.run
    hashes = list({photo.content_hash for new in groups for photo in new.photos})
    holders = defaultdict(list)
    for start in range(0, len(hashes), AT_ONCE):
        part = hashes[start : start + AT_ONCE]
        place = func.dense_rank().over(partition_by=PHOTOS.c.content_hash, order_by=PHOTOS.c.number)
        ranked = (
            select(PHOTOS.c.content_hash, PHOTOS.c.number, place.label("place"))
            .where(PHOTOS.c.run == run, PHOTOS.c.content_hash.in_(part))
            .subquery()
        )
        query = (
            select(ranked.c.content_hash, JOBS.c.group_id, JOBS.c.mission)
            .join(JOBS, (JOBS.c.run == run) & (JOBS.c.number == ranked.c.number))
            .where(ranked.c.place <= LOOKED_AT)
            .order_by(ranked.c.number)
        )
        with store.database.reading() as connection:
            for content, group_id, mission in connection.execute(query):
                holders[content].append((group_id, mission))
    return holders


def _uses_of(new: NewJob, holders: Holders) -> list[ReusedPhoto]:
    uses: list[ReusedPhoto] = []
    for index, photo in enumerate(new.photos):
        elsewhere = _uses_elsewhere(new, photo_key(index), holders.get(photo.content_hash, ()))
        uses += list(dict.fromkeys(elsewhere))[:MAX_USES]
    return uses


def _uses_elsewhere(
    new: NewJob, key: str, groups: Sequence[tuple[str, str]]
) -> Iterator[ReusedPhoto]:
    for group_id, mission in groups:
        if (group_id, mission) != (new.group_id, new.mission):
            yield ReusedPhoto(key, group_id, mission, same_order=group_id == new.group_id)
