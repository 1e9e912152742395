"""Verdicts that were given before another group came with one of their photos are given anew.

Whoever begins a group looks who has its photos too. A group that was handed in later sees this one
by itself, as does one that has not been begun; the verdict of any other one may have been given
without it. Such a group is made a version once more, which sees this one: so each is made at most
once for each photo and each group that has it, however many work at the same time.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from shenhe.photos.near_duplicates import NEAR
from shenhe.photos.reuse import MAX_LOOKED_AT, PhotoOwner
from shenhe.service.jobs import Job, StoredPhoto
from shenhe.service.photo_reuse import PhotosOfJobs
from shenhe.service.store import JobStore


class Reopening:
    """Has groups judged anew whose photos a later group has too.

    reopening = Reopening(store, photos)
    pipeline = Pipeline(store, model, "machine-1", reopening.reopen_users)
    """

    def __init__(self, store: JobStore, photos: PhotosOfJobs) -> None:
        """Name the jobs, and the photos of all of them."""
        self._store, self._photos = store, photos

    def reopen_users(self, job: Job) -> int:
        """Have those judged anew that were judged without a job that begins; give their number.

        Raises: DatabaseAwayError if the database does not answer; RunError.
        """
        count = 0
        for mission, group_id in self._users(job):
            other = self._store.latest(mission, group_id)
            if other is not None and self._was_judged_without(other, job):
                count += self._store.repeat(other)[1]
        return count

    def _users(self, job: Job) -> list[tuple[str, str]]:
        """List the missions and ids of other work orders that have, or had, a photo of a job."""
        own = job.new
        owner = PhotoOwner("", own.mission, own.label or "", own.group_id)
        facts = [replace(photo.facts, content_hash=photo.content_hash) for photo in own.photos]
        uses = self._photos.find(owner, facts, MAX_LOOKED_AT)
        others = (use for use in uses if not use.run and not use.same_order)
        return list(dict.fromkeys((use.mission, use.group_id) for use in others))

    def _was_judged_without(self, other: Job, job: Job) -> bool:
        """Whether a verdict holds, or is about to, that does not know of a job."""
        if other.number > job.number or not _share_photos(other, job):
            return False
        if other.state == "running":
            return not self._is_held_anyhow(other)
        return other.result is not None and other.result.verdict.status == "decided"

    def _is_held_anyhow(self, job: Job) -> bool:
        """Whether a job that is under way sees another group with its photo by itself."""
        return any(
            _share_photos(job, earlier)
            for user in self._users(job)
            for earlier in self._store.versions(*user, before=job.number)
        )


def _share_photos(one: Job, another: Job) -> bool:
    return any(_is_same(*pair) for pair in product(one.new.photos, another.new.photos))


def _is_same(one: StoredPhoto, another: StoredPhoto) -> bool:
    """Whether photos are the same file, or look nearly the same."""
    if one.content_hash == another.content_hash:
        return True
    looks = one.facts.perceptual_hash, another.facts.perceptual_hash
    if looks[0] is None or looks[1] is None:
        return False
    return (int(looks[0], 16) ^ int(looks[1], 16)).bit_count() <= NEAR
