"""A photo tree that is watched: groups that are complete are handed in as bulk jobs.

A group is complete when nothing of it has changed for a while, or a marker file says so. Photos
stay where they are, and are read there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from shenhe.config import Mission, Missions
from shenhe.errors import IntakeError, RunError
from shenhe.intake import PhotoTree
from shenhe.locations import Location, absolute, location_text
from shenhe.printable import on_one_line
from shenhe.service.jobs import Job, NewJob, repeat_contents
from shenhe.service.watched_groups import is_marked, is_there, list_whole, listing_of, new_job_of
from shenhe.values import Group

log = logging.getLogger("shenhe.service")
LOOK_SECONDS: Final = 2.0
"""Least time between two looks at the tree."""
LOOK_SHARE: Final = 0.1
"""Largest share of the time that is spent on looking."""
READERS: Final = 4
UNREAD_TIMES: Final = 3
"""After so many looks a photo that cannot be read costs its group the verdict."""
UNREAD_SECONDS: Final = 60.0
"""How often such a photo is read again."""


class TakesJobs(Protocol):
    """What a watcher takes of the `JobStore`."""

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Take in a group."""

    def latest(self, mission: str, group_id: str) -> Job | None:
        """Give the last version of a group."""

    def versions(self, mission: str, group_id: str, after: int = 0) -> Sequence[Job]:
        """Give the versions of a group behind a number, the first first."""

    def has_photos_below(self, folder: str) -> bool:
        """Whether any job has a photo below a folder."""


class _Listing(NamedTuple):
    """The fingerprint of a group's folder, and since when it is that. Units: seconds."""

    inputs: str
    since: float


class _Unread(NamedTuple):
    """How often a group had a photo that cannot be read, and when it is read again.

    Units: seconds.
    """

    times: int = 0
    again: float = 0.0


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
        self.problem = ""
        """Why the tree, or a part of it, cannot be looked at; empty if it can."""
        self._listings: dict[str, _Listing] = {}
        self._handed_in: dict[str, str] = {}
        self._unread: dict[str, _Unread] = {}
        self._told: set[str] = set()
        self._tells: set[str] = set()
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

        Of a tree, or a mission, that cannot be listed whole nothing changes, and `problem` says so.
        Raises: RunError if the queue does not answer.
        """
        self._tells = set()
        problems, keys, count = [], set(), 0
        try:
            tree = PhotoTree(self._data_root)
            missions = tree.missions(self._missions)
            if not missions and self._jobs.has_photos_below(self._root):
                # As an unmounted disk looks, and as nobody leaves a tree.
                raise IntakeError(f"{self._data_root}: no mission's folder: is its disk there?")
        except IntakeError as error:
            missions, problems = [], [str(error)]
        with ThreadPoolExecutor(READERS, "watch") as readers:
            for mission in missions:
                try:
                    groups = list_whole(tree, mission)
                except IntakeError as error:
                    problems.append(str(error))
                    keys |= {
                        key for key in self._handed_in if key.startswith(f"{mission.name}\x1f")
                    }
                    continue
                keys |= {group.key for group in groups}
                for group in self._complete(mission, groups):
                    count += self._hand_in(group, readers)
                    if self._stopping.is_set():
                        return count
        self._note(problems, keys)
        return count

    @property
    def _root(self) -> str:
        return f"{location_text(absolute(self._data_root)).rstrip('/')}/"

    def _note(self, problems: Sequence[str], keys: Container[str]) -> None:
        """Keep what was found, and forget groups whose folders are gone."""
        self.problem = "; ".join(problems)
        for problem in problems:
            self._tell(problem)
        self._told &= self._tells  # what comes again later is told again
        if not problems:
            for memory in (self._listings, self._handed_in, self._unread):
                for key in [key for key in memory if key not in keys]:
                    del memory[key]

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self.look()
            except RunError as error:
                self._tell(f"{self._data_root}: {error}")
            seconds = time.monotonic() - began
            self._stopping.wait(max(LOOK_SECONDS, seconds / LOOK_SHARE))

    def _complete(self, mission: Mission, groups: Sequence[Group]) -> Iterator[Group]:
        """Yield the groups of a mission that are complete and were not handed in as they are."""
        seen: dict[str, Group] = {}
        for group in groups:
            twin = seen.setdefault(group.group_id, group)
            if group.problem:
                self._tell(f"group {group.group_id} of {mission.name}: {group.problem}")
            if twin is not group:
                self._tell(f"group {group.group_id} of {mission.name} stands there twice")
            elif self._is_to_come(group) and (self._is_quiet(group) or is_marked(group)):
                yield group

    def _is_to_come(self, group: Group) -> bool:
        if self._unread.get(group.key, _Unread()).again > time.monotonic():
            return False
        return self._handed_in.get(group.key) != listing_of(group)

    def _is_quiet(self, group: Group) -> bool:
        """Whether a group has looked the same for long enough, by the watch of this process."""
        now, inputs = time.monotonic(), listing_of(group)
        listing = self._listings.get(group.key)
        if listing is None or listing.inputs != inputs:
            listing = self._listings[group.key] = _Listing(inputs, now)
        return now - listing.since >= self._quiet_seconds

    def _hand_in(self, group: Group, readers: ThreadPoolExecutor) -> bool:
        """Hand in a group, unless the queue has it as it is; tell whether it was new."""
        latest, is_new = self._jobs.latest(group.mission, group.group_id), False
        is_readable = True
        if group.photos and not is_there(group, latest):
            try:
                new = new_job_of(group, "bulk", readers)
            except OSError as error:
                self._tell(f"group {group.group_id}: {error.strerror}")
                if not self._is_unread_for_long(
                    group
                ):  # one that went away is not listed next time
                    return False
                is_readable = False
                new = new_job_of(group, "bulk", readers, with_unread=True)
            is_new = self._submit(new)
        elif not group.photos and latest is not None and self._is_of_tree(latest):
            # A folder that has never had a photo has nothing to judge yet.
            is_new = self._submit(new_job_of(group, "bulk"))
        if is_readable:
            self._handed_in[group.key] = listing_of(group)
            self._unread.pop(group.key, None)
        self._listings.pop(group.key, None)
        return is_new

    def _submit(self, new: NewJob) -> bool:
        job, is_new = self._jobs.submit(new)
        latest = None if job.is_current else self._jobs.latest(new.mission, new.group_id)
        if latest is not None and not self._is_last_of_tree(new):
            # The folder is what it was before its last version: a version of its own again.
            again = repeat_contents(new.contents, latest.version + 1)
            _, is_new = self._jobs.submit(replace(new, contents=again))
        if is_new:
            self._on_submit()
        return is_new

    def _is_last_of_tree(self, new: NewJob) -> bool:
        """Whether a folder is as its last version was: what was handed in since is newer."""
        last: Job | None = None
        number = 0
        while versions := self._jobs.versions(new.mission, new.group_id, after=number):
            number = versions[-1].number
            last = next(filter(self._is_of_tree, reversed(versions)), last)
        if last is None:
            return False
        return last.new.contents in (new.contents, repeat_contents(new.contents, last.version))

    def _is_unread_for_long(self, group: Group) -> bool:
        """Whether a photo could not be read again and again; then it is not read for a while."""
        times = self._unread.get(group.key, _Unread()).times + 1
        is_long = times >= UNREAD_TIMES
        again = time.monotonic() + UNREAD_SECONDS if is_long else 0.0
        self._unread[group.key] = _Unread(times, again)
        return is_long

    def _is_of_tree(self, job: Job) -> bool:
        """Whether a job was made of the tree, not of photos that somebody handed in."""
        paths = [location_text(photo.location) for photo in job.new.photos]
        return job.new.empty is not None or any(path.startswith(self._root) for path in paths)

    def _tell(self, problem: str) -> None:
        """Log a problem once, for as long as it lasts."""
        self._tells.add(problem)
        if problem not in self._told:
            self._told.add(problem)
            log.warning("watched tree: %s", on_one_line(problem))
