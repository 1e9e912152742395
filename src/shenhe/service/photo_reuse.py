"""Photos of all groups that were handed in, for policies that hold a group back for a used one.

Whoever asks sees all that were handed in until then, by whichever process. A verdict that was
given before another group came with the same photo is given anew: see `reopening`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import select

from shenhe.database import Database
from shenhe.messages import PhotoFacts
from shenhe.photos.reuse import MAX_USES, PhotoOwner, PhotoRegister, RecentPhotos, ReuseIndex
from shenhe.rows.photo_marks import find_earlier, register_files
from shenhe.service.tables import JOBS, PHOTOS
from shenhe.values import ReusedPhoto, photo_key

MAX_RECENT: Final = 50_000
"""Photos that every search looks at, before they are sorted into the index."""
PAGE: Final = 5_000
"""Jobs whose photos are read at once."""


class _Photo(NamedTuple):
    """A photo of a job, as the database has it."""

    number: int
    mission: str
    label: str | None
    group_id: str
    content_hash: str
    look: str | None

    @property
    def owner(self) -> PhotoOwner:
        return PhotoOwner("", self.mission, self.label or "", self.group_id)

    @property
    def facts(self) -> PhotoFacts:
        return PhotoFacts(content_hash=self.content_hash, perceptual_hash=self.look)


class PhotosOfJobs:
    """The photos of all jobs, and of earlier runs, as `photos.reuse.ReuseIndex` has them.

    with closing(PhotosOfJobs(store.database)) as photos:
        uses = photos.find(owner_of(row), facts_of(row))
    """

    def __init__(
        self, database: Database, earlier: Sequence[Path] = (), max_recent: int = MAX_RECENT
    ) -> None:
        """Read the photos of earlier runs.

        Raises: RunError if rows cannot be read, or an earlier run has none.
        """
        self._database, self._max_recent = database, max_recent
        self._mutex, self._last = threading.Lock(), 0
        self._recent = RecentPhotos()
        self._register = PhotoRegister()
        for run in earlier:
            register_files(self._register, find_earlier(run), run=run.resolve().name)
        self._index: ReuseIndex = self._register.finish()

    def close(self) -> None:
        """Let go of the files of the index."""
        self._register.close()

    def find(
        self, owner: PhotoOwner, photos: Sequence[PhotoFacts | None], limit: int = MAX_USES
    ) -> list[ReusedPhoto]:
        """List the uses of a group's photos elsewhere, photo by photo.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be read.
        """
        with self._mutex:
            self._catch_up()
            uses = [
                *self._index.find(owner, photos, limit),
                *self._recent.find(owner, photos, limit),
            ]
        order = {photo_key(index): index for index in range(len(photos))}
        return sorted(dict.fromkeys(uses), key=lambda use: order[use.photo])

    def _catch_up(self) -> None:
        """Read the jobs that were handed in since."""
        while page := self._read_page():
            for (_, owner), photos in groupby(page, lambda photo: (photo.number, photo.owner)):
                self._recent.add(owner, [photo.facts for photo in photos])
            self._last = page[-1].number
            if len(self._recent) > self._max_recent:
                for owner, facts in self._recent.groups:
                    self._register.add(owner, facts)
                self._index, self._recent = self._register.finish(), RecentPhotos()

    def _read_page(self) -> list[_Photo]:
        run = self._database.run
        behind = select(JOBS.c.number).where(JOBS.c.run == run, JOBS.c.number > self._last)
        numbers = behind.order_by(JOBS.c.number).limit(PAGE).subquery()
        query = (
            select(
                JOBS.c.number,
                JOBS.c.mission,
                JOBS.c.label,
                JOBS.c.group_id,
                PHOTOS.c.content_hash,
                PHOTOS.c.look,
            )
            .join(PHOTOS, (PHOTOS.c.run == JOBS.c.run) & (PHOTOS.c.number == JOBS.c.number))
            .join(numbers, numbers.c.number == JOBS.c.number)
            .where(JOBS.c.run == run)
            .order_by(JOBS.c.number, PHOTOS.c.position)
        )
        with self._database.reading() as connection:
            return [_Photo(*row) for row in connection.execute(query)]
