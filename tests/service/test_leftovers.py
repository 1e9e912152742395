"""Photos that no job has are deleted; never those of a job, and none that may become one's."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from shenhe.service.inbox import STALE_SECONDS
from shenhe.service.job_rows import JobCells
from shenhe.service.leftovers import Leftovers
from shenhe.service.retention import DAY, Retention
from shenhe.service.store import JobStore, open_store
from tests.service.handed_in import handed_in
from tests.service.test_retention import OLD, YOUNG, Watch, done


class Site:
    """A folder of photos, and a watch that is moved."""

    def __init__(self, data: Path, url: str) -> None:
        self.store, self.photos, self.seconds = open_store(data, url), data / "photos", 0.0
        self.leftovers = Leftovers(self.store, data, lambda: self.seconds)

    def place(self, day: str = "2026-11-26") -> Path:
        folder = self.photos / day / uuid.uuid4().hex
        folder.mkdir(parents=True)
        (folder / "001.jpg").write_bytes(b"photo")
        return folder

    def wait(self, seconds: float = STALE_SECONDS + 1) -> int:
        self.seconds += seconds
        return self.leftovers.sweep()


@pytest.fixture
def site(tmp_path: Path, store_url: str) -> Site:
    return Site(tmp_path, store_url)


def test_what_no_job_has_is_deleted_after_hours(site: Site) -> None:
    owned, orphan, half = site.place(), site.place(), site.place("incoming")
    old = site.place()
    site.store.submit(handed_in("QC-1", "001", folder=owned))
    cells, site.store.cells = site.store.cells, JobCells("an earlier version")
    site.store.submit(handed_in("QC-2", "001", folder=old))
    site.store.cells = cells
    for folder in (orphan, half):
        os.utime(folder, (0, 0))  # the clock may say anything
    (site.photos / "of 李工").mkdir()
    assert site.wait() == 0  # seen for the first time
    assert site.wait(STALE_SECONDS / 2) == 0
    (half / "002.jpg").write_bytes(b"it goes on")
    committed_late = site.place()
    assert site.wait(STALE_SECONDS / 2) == 1
    assert (orphan.exists(), half.exists()) == (False, True)
    site.store.submit(handed_in("QC-3", "001", folder=committed_late))
    assert site.wait() == 1
    assert site.wait() == 0
    assert owned.exists()
    assert old.exists()
    assert committed_late.exists()
    assert not half.exists()
    assert (site.photos / "of 李工").exists()
    site.store.close()


def test_photos_that_a_later_version_has_stay(jobs: JobStore, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "2026-01-01" / ("ab" * 16)
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.jpg").write_bytes(b"photo")
    (first,) = done(jobs, handed_in("QC-1", folder=folder), at=OLD)
    jobs.repeat(first)
    watch = Watch()
    retention = Retention(jobs, tmp_path, 30, watch)
    watch.go_on(DAY)
    assert retention.sweep() == 0  # it waits
    done(jobs, at=YOUNG)
    assert retention.sweep() == 0
    watch.go_on(60 * DAY)
    assert retention.sweep() == 2
