"""Photos are kept for so many days after their group is done; its rows are kept for good.

Only what lies in DIR/photos is ever deleted: photos of a watched folder are not the service's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from shenhe.errors import RunError
from shenhe.locations import Location
from shenhe.service.jobs import Job
from shenhe.service.store import JobStore

log = logging.getLogger("shenhe.service")
DAY: Final = 86_400
LOOK_SECONDS: Final = 3600
"""How often photos are looked for that are too old."""
JUMP_SECONDS: Final = 3600
"""By how much the clock may differ from what a watch says: more, and it was set meanwhile."""
PAGE: Final = 200
"""How many jobs are looked at in one go."""


class Moment(NamedTuple):
    """What the clock showed, and what a watch showed that nobody sets. Units: seconds."""

    clock: float
    watch: float

    @classmethod
    def now(cls) -> Moment:
        """Look at both; the watch goes on while the machine sleeps, where the system has one."""
        kind = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return cls(time.time(), time.clock_gettime(kind))


class Sweeper(Protocol):
    """What deletes photos now and then."""

    def sweep(self) -> int:
        """Delete what is to go; give how much that was."""


class Retention:
    """Deletes the photos of jobs that are done for longer than so many days.

    A clock that jumped ahead makes everything look old: nothing is deleted until it has gone on by
    itself for a day.

    Example:
        Retention(store, Path("data"), days=90).sweep()  # the number of photos deleted

    """

    def __init__(
        self, store: JobStore, data_dir: Path, days: int, look: Callable[[], Moment] = Moment.now
    ) -> None:
        """Keep photos of DIR/photos for so many days; `look` reads the clock and the watch."""
        self._store, self._photos, self._days = store, data_dir / "photos", days
        self._look, self._set = look, look()
        self._wait = 0

    def sweep(self) -> int:
        """Delete the photos that are too old; give their number.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be written.
        """
        now = self._look()
        if not self._is_right(now):
            return 0
        oldest = datetime.fromtimestamp(now.clock - self._days * DAY, UTC)
        before, number, count = f"{oldest:%Y-%m-%dT%H:%M:%S}", 0, 0
        while ended := self._store.with_photos_before(before, number, PAGE):
            number = ended[-1].number
            deleted = [
                (
                    end.job.number,
                    None if self._is_needed(end.job, before) else self._delete(end.job),
                )
                for end in ended
            ]
            # Only now: after a kill in between, what is not there any more is passed over.
            self._store.note_photos_deleted([key for key, photos in deleted if photos is not None])
            count += sum(photos or 0 for _, photos in deleted)
        if count:
            log.info("%d photos deleted that were too old", count)
        return count

    def _is_right(self, now: Moment) -> bool:
        """Whether the clock has gone as fast as the watch since it was looked at first."""
        jump = (now.clock - self._set.clock) - (now.watch - self._set.watch)
        if abs(jump) > JUMP_SECONDS:
            log.warning("the clock was set by %.0f h: photos are kept a day longer", jump / 3600)
            self._set, self._wait = now, DAY
        return now.watch - self._set.watch >= self._wait

    def _is_needed(self, job: Job, before: str) -> bool:
        """Whether a later version has the same photos and is not so old, or has failed itself."""
        own = {photo.location for photo in job.new.photos}
        later = self._store.versions(job.new.mission, job.new.group_id, after=job.number)
        return job.is_damaged or any(
            (each.state != "done" or each.finished_at >= before)
            and not own.isdisjoint(photo.location for photo in each.new.photos)
            for each in later
        )

    def _delete(self, job: Job) -> int | None:
        """Delete the photos of a job; give their number, or None if it is to be tried again."""
        own = [Path(str(p.location)) for p in job.new.photos if self._is_own(p.location)]
        try:
            count = sum(_delete_file(path) for path in own)
        except OSError as error:
            log.warning("%s: cannot be deleted: %s", error.filename, error.strerror)
            return None
        self._delete_empty({folder for path in own for folder in (path.parent, path.parent.parent)})
        return count

    def _is_own(self, location: Location) -> bool:
        """Whether a photo lies in DIR/photos, wherever its path leads."""
        if not isinstance(location, Path):
            return False
        root = self._photos.resolve()
        return root in (location.parent.resolve() / location.name).parents

    def _delete_empty(self, folders: Iterable[Path]) -> None:
        """Delete folders that are empty by now, the inner ones first; never DIR/photos itself."""
        for folder in sorted(folders, key=lambda each: -len(each.parts)):
            if self._is_own(folder):
                with suppress(OSError):
                    folder.rmdir()


@contextmanager
def keeping(*sweepers: Sweeper, pause: float = LOOK_SECONDS) -> Iterator[None]:
    """Have photos that are too old, or nobody's, deleted meanwhile; first after a pause.

    A machine that has just started may show any time until somebody sets its clock right.
    Units: `pause` in seconds.
    """
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(pause):
            for sweeper in sweepers:
                try:
                    sweeper.sweep()
                except RunError as error:
                    log.warning("photos cannot be deleted yet: %s", error)

    thread = threading.Thread(target=run, name="retention", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _delete_file(path: Path) -> bool:
    """Delete a file; False if it is not there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
