"""Folders of photos that no job has: half received ones, and those whose job was never committed.

A process that is killed leaves them behind; its client had no answer, and sends the group again. A
folder is deleted when it has stood there unchanged, and without a job, for hours by a watch that
nobody sets: no commit takes so long, whatever the clock says.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.service.inbox import INCOMING, STALE_SECONDS
from shenhe.service.job_rows import PHOTOS_FOLDER
from shenhe.service.store import JobStore

log = logging.getLogger("shenhe.service")
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
SUBMISSION: Final = re.compile(r"[0-9a-f]{32}")
"""How the folder of a submission is called; what people put beside those is not the service's."""


class _Seen(NamedTuple):
    """When a folder had last changed by the clock of its disk, and since when it is so."""

    changed_ns: int
    since: float


class Leftovers:
    """Deletes what was left behind in DIR/photos.

    Example:
        Leftovers(store, Path("data")).sweep()  # the number of folders deleted

    """

    def __init__(
        self, store: JobStore, data_dir: Path, watch: Callable[[], float] = time.monotonic
    ) -> None:
        """Look after a service; `watch` runs forward only. Units: seconds."""
        self._store, self._watch = store, watch
        self._photos = data_dir.absolute() / PHOTOS_FOLDER
        self._seen: dict[Path, _Seen] = {}
        self._owned: set[str] = set()
        self._looked_at = 0

    def sweep(self) -> int:
        """Delete what has been left for long enough; give the number of folders.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be read.
        """
        now, count = self._watch(), 0
        last = self._store.last_number()  # a job up to here had its folder before it is listed
        folders = [*self._submissions()]
        self._note_owned({folder.name for folder in folders}, last)
        seen: dict[Path, _Seen] = {}
        for folder in folders:
            if folder.name in self._owned:
                continue
            with suppress(OSError):
                changed = folder.stat().st_mtime_ns
                before = self._seen.get(folder)
                same = before if before and before.changed_ns == changed else _Seen(changed, now)
                if now - same.since < STALE_SECONDS:
                    seen[folder] = same
                elif not self._store.has_photos_below(f"{folder}/"):
                    shutil.rmtree(folder, ignore_errors=True)
                    count += 1
        self._seen = seen
        if count:
            log.info("%d folders deleted of photos that no job has", count)
        return count

    def _note_owned(self, names: set[str], last: int) -> None:
        """Note which folders have a job; what is deleted is looked up once more by itself."""
        self._owned &= names
        for path in self._store.photo_paths(self._looked_at):
            if (name := path.rpartition("/")[0].rpartition("/")[2]) in names:
                self._owned.add(name)
        self._looked_at = last

    def _submissions(self) -> Iterator[Path]:
        """List the folders of submissions, received whole or in part."""
        with suppress(OSError):
            for day in self._photos.iterdir():
                if day.name == INCOMING or DAY.fullmatch(day.name):
                    with suppress(OSError):
                        yield from (f for f in day.iterdir() if SUBMISSION.fullmatch(f.name))
