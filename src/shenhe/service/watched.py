"""A photo tree that is watched: groups that are complete are handed in as bulk jobs.

A group is complete when nothing of it has changed for a while, or a marker file says so. Photos
stay where they are, and are read there.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from shenhe.config import Mission, Missions
from shenhe.errors import IntakeError, PhotoError, RunError, ShenheError
from shenhe.intake import PhotoTree
from shenhe.locations import Location, open_location, scan_folder
from shenhe.photos import read_facts
from shenhe.printable import on_one_line
from shenhe.rows import fingerprints
from shenhe.service.jobs import Job, Lane, NewJob, StoredPhoto
from shenhe.values import Group

log = logging.getLogger("shenhe.service")
MARKER: Final = ".complete"
"""The file in a group's folder that says that all of its photos are there."""
LOOK_SECONDS: Final = 2.0
"""Least time between two looks at the tree."""
LOOK_SHARE: Final = 0.1
"""Largest share of the time that is spent on looking."""
READERS: Final = 4


class TakesJobs(Protocol):
    """What a watcher takes of the `JobStore`."""

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Take in a group."""

    def latest(self, mission: str, group_id: str) -> Job | None:
        """Give the last version of a group."""


class _Listing(NamedTuple):
    """The fingerprint of a group's folder, and since when it is that. Units: seconds."""

    inputs: str
    since: float


class Watcher:
    """Hands in the groups of a photo tree as they come.

    watcher = Watcher(store, Path("/mnt/photos"), load_missions(), quiet_seconds=30)
    watcher.start()
    watcher.stop()
    """

    def __init__(
        self,
        jobs: TakesJobs,
        data_root: Location,
        missions: Missions,
        quiet_seconds: float,
        on_submit: Callable[[], object] = lambda: None,
    ) -> None:
        """Name the queue and the tree; `on_submit` is called when a job was handed in.

        Raises: IntakeError if there is no such folder.
        """
        PhotoTree(data_root)
        self._jobs, self._data_root, self._missions = jobs, data_root, missions
        self._quiet_seconds, self._on_submit = quiet_seconds, on_submit
        self._listings: dict[str, _Listing] = {}
        self._handed_in: dict[str, str] = {}
        self._told: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Look at the tree from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> int:
        """Look at the tree once; return how many jobs were handed in.

        Raises: IntakeError if the tree cannot be listed; RunError if the queue does not answer.
        """
        tree = PhotoTree(self._data_root)
        with ThreadPoolExecutor(READERS, "watch") as readers:
            count = 0
            for mission in tree.missions(self._missions):
                for group in self._complete(tree, mission):
                    count += self._hand_in(group, readers)
                    if self._stopping.is_set():
                        return count
        return count

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self.look()
            except (IntakeError, RunError) as error:
                self._tell(f"{self._data_root}: {error}")
            seconds = time.monotonic() - began
            self._stopping.wait(max(LOOK_SECONDS, seconds / LOOK_SHARE))

    def _complete(self, tree: PhotoTree, mission: Mission) -> Iterator[Group]:
        """Yield the groups of a mission that are complete and were not handed in as they are."""
        seen: dict[str, Group] = {}
        for group in tree.groups(mission):
            twin = seen.setdefault(group.group_id, group)
            if group.problem:
                self._tell(f"group {group.group_id} of {mission.name}: {group.problem}")
            elif twin is not group:
                self._tell(f"group {group.group_id} of {mission.name} stands there twice")
            elif self._is_to_come(group) and (self._is_quiet(group) or _is_marked(group)):
                yield group

    def _is_to_come(self, group: Group) -> bool:
        return bool(group.photos) and self._handed_in.get(group.key) != group.inputs

    def _is_quiet(self, group: Group) -> bool:
        """Whether a group has looked the same for long enough, by the watch of this process."""
        now = time.monotonic()
        listing = self._listings.get(group.key)
        if listing is None or listing.inputs != group.inputs:
            listing = self._listings[group.key] = _Listing(group.inputs, now)
        return now - listing.since >= self._quiet_seconds

    def _hand_in(self, group: Group, readers: ThreadPoolExecutor) -> bool:
        """Hand in a group, unless the queue has it as it is; tell whether it was new."""
        is_new = False
        if not self._is_there(group):
            try:
                new = new_job_of(group, "bulk", readers)
            except OSError as error:  # a photo went away; the next look sees how it is then
                self._tell(f"group {group.group_id}: {error.strerror}")
                return False
            job, is_new = self._jobs.submit(new)
            latest = None if job.is_current else self._jobs.latest(group.mission, group.group_id)
            if latest is not None:
                # The folder is what it was before its last version: a version of its own again.
                again = hashlib.sha256(f"{new.contents}\n{latest.id}".encode()).hexdigest()
                _, is_new = self._jobs.submit(replace(new, contents=again))
            if is_new:
                self._on_submit()
        self._handed_in[group.key] = group.inputs
        self._listings.pop(group.key, None)
        return is_new

    def _is_there(self, group: Group) -> bool:
        """Whether the rows of the group's last job were made of its folder as it is."""
        job = self._jobs.latest(group.mission, group.group_id)
        if job is None or job.new.label != group.label or not job.result or not job.result.summary:
            return False
        before = job.result.summary.meta.inputs_hash
        return before is not None and fingerprints.same_listing(before, group.inputs)

    def _tell(self, problem: str) -> None:
        """Log a problem once."""
        if problem not in self._told:
            self._told.add(problem)
            log.warning("watched tree: %s", on_one_line(problem))


def new_job_of(group: Group, lane: Lane, readers: ThreadPoolExecutor | None = None) -> NewJob:
    """Read the photos of a group where they lie, and make its job.

    Raises: OSError if a photo cannot be read at all.
    """
    photos = tuple((readers.map if readers else map)(_read, group.photos))
    label = [f"label={group.label}"] if group.label else []
    # What is left out costs a group its verdict as its photos may: with it, it is another group.
    left_out = [f"left_out={file.path}" for file in group.left_out]
    hashes = [*(photo.content_hash for photo in photos), *label, *left_out]
    contents = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return NewJob(group.mission, group.group_id, photos, contents, lane, label=group.label)


def _read(photo: Location) -> StoredPhoto:
    digest, size = hashlib.sha256(), 0
    with open_location(photo) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    stored = StoredPhoto(photo, photo.name, digest.hexdigest(), size)
    try:
        return replace(stored, facts=read_facts(photo))
    except PhotoError as error:
        return replace(stored, problem=str(error))


def _is_marked(group: Group) -> bool:
    with suppress(OSError, ShenheError):
        return any(entry.name == MARKER for entry in scan_folder(group.photos[0].parent))
    return False
