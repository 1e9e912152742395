"""Groups of a watched tree: how they are listed whole, told from how they were, and made jobs."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from shenhe.config import Mission
from shenhe.errors import IntakeError, PhotoError, ShenheError
from shenhe.intake import PhotoTree
from shenhe.locations import Location, location_text, open_location, scan_folder
from shenhe.photos import read_facts
from shenhe.rows import fingerprints
from shenhe.service.jobs import EmptyFolder, Job, Lane, NewJob, StoredPhoto
from shenhe.values import Group

MARKER: Final = ".complete"
"""The file in a group's folder that says that all of its photos are there."""


def list_whole(tree: PhotoTree, mission: Mission) -> list[Group]:
    """List the groups of a mission, also those whose folders are links that lead nowhere.

    Raises: IntakeError if a folder of groups cannot be listed: half a listing is none.
    """
    unlisted: list[str] = []
    groups = list(tree.groups(mission, unlisted=unlisted))
    if unlisted:
        raise IntakeError(
            f"{unlisted[0]}: cannot be listed: groups of {mission.name} stay as they are"
        )
    return [*groups, *tree.lost_groups(mission)]


def listing_of(group: Group) -> str:
    """Give what tells a folder from how it was: its fingerprint, or why it cannot be looked at."""
    return f"{group.code}: {group.problem}" if group.problem else group.inputs


def is_there(group: Group, job: Job | None) -> bool:
    """Whether the rows of the group's last job were made of its folder as it is."""
    if job is None or job.new.label != group.label or not job.result or not job.result.summary:
        return False
    before = job.result.summary.meta.inputs_hash
    return before is not None and fingerprints.same_listing(before, group.inputs)


def new_job_of(
    group: Group,
    lane: Lane,
    readers: ThreadPoolExecutor | None = None,
    *,
    with_unread: bool = False,
) -> NewJob:
    """Read the photos of a group where they lie, and make its job; one without says why.

    Raises: OSError if a photo cannot be read at all, unless they are taken `with_unread` ones.
    """
    read = partial(_read, with_unread=with_unread)
    photos = tuple((readers.map if readers else map)(read, group.photos))
    empty = None
    if not photos:
        code = group.code if group.problem else "no_photos"
        empty = EmptyFolder(code, group.problem, group.left_out)
    label = [f"label={group.label}"] if group.label else []
    # What is left out costs a group its verdict as its photos may: with it, it is another group.
    left_out = [f"left_out={file.path}" for file in group.left_out]
    why = [f"empty={empty.code}: {empty.problem}"] if empty else []
    hashes = [*(photo.content_hash for photo in photos), *label, *left_out, *why]
    joined = "\n".join(hashes).encode("utf-8", "surrogateescape")
    contents = hashlib.sha256(joined).hexdigest()
    return NewJob(
        group.mission, group.group_id, photos, contents, lane, label=group.label, empty=empty
    )


def _read(photo: Location, *, with_unread: bool) -> StoredPhoto:
    digest, size = hashlib.sha256(), 0
    try:
        with open_location(photo) as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except OSError as error:
        if not with_unread:
            raise
        name = hashlib.sha256(f"unread\0{location_text(photo)}".encode()).hexdigest()
        return StoredPhoto(photo, photo.name, name, 0, problem=f"unreadable: {error.strerror}")
    stored = StoredPhoto(photo, photo.name, digest.hexdigest(), size)
    try:
        return replace(stored, facts=read_facts(photo))
    except PhotoError as error:
        return replace(stored, problem=str(error))


def is_marked(group: Group) -> bool:
    """Whether a file in the folder says that all photos are there."""
    with suppress(OSError, ShenheError, IndexError):
        return any(entry.name == MARKER for entry in scan_folder(group.photos[0].parent))
    return False
