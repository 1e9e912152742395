"""Photos go after so many days; never needed ones, and never what is not the service's own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from shenhe.service.jobs import Job, NewJob
from shenhe.service.retention import DAY, Moment, Retention
from shenhe.service.store import JobStore
from shenhe.service.tables import JOBS
from tests.service.handed_in import handed_in, judged

OLD, YOUNG = "2026-01-01T00:00:00.000000Z", "2026-03-31T00:00:00.000000Z"
NOW = 1_775_001_600.0
"""1 April 2026, in seconds."""


class Watch:
    """A clock and a watch that are moved."""

    def __init__(self) -> None:
        self.moment = Moment(NOW, 1000.0)

    def __call__(self) -> Moment:
        return self.moment

    def go_on(self, seconds: float, *, jump: float = 0.0) -> None:
        clock, watch = self.moment
        self.moment = Moment(clock + seconds + jump, watch + seconds)


def place(folder: Path, group_id: str) -> NewJob:
    """Hand in a group with two photos in a folder of its own, as the inbox does."""
    folder = folder / group_id
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.jpg").write_bytes(b"photo")
    return handed_in(group_id, folder=folder)


def done(jobs: JobStore, *groups: NewJob, at: str = OLD) -> Sequence[Job]:
    for new in groups:
        jobs.submit(new)
    claims = jobs.claim("worker", 100)
    for claimed in claims:
        jobs.finish(claimed, judged(claimed.job))
    numbers = [claimed.job.number for claimed in claims]
    with jobs.database.transaction() as connection:
        is_it = (JOBS.c.run == jobs.database.run) & JOBS.c.number.in_(numbers)
        connection.execute(update(JOBS).where(is_it).values(finished_at=at))
    return [claimed.job for claimed in claims]


def photos_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))


def test_photos_of_old_jobs_go_and_their_rows_stay(jobs: JobStore, tmp_path: Path) -> None:
    inbox = tmp_path / "photos" / "2026-01-01"
    (old,) = done(jobs, place(inbox, "old"))
    done(jobs, place(inbox, "young"), at=YOUNG)
    jobs.submit(place(inbox, "waiting"))
    failing, _ = jobs.submit(place(inbox, "failed"))
    for claimed in jobs.claim("worker", 5):
        if claimed.job.id == failing.id:
            jobs.fail(claimed, "the model died")
    retention = Retention(jobs, tmp_path, 30, Watch())
    assert retention.sweep() == 2
    assert not (inbox / "old").exists()
    left = [f"{group}/{name}.jpg" for group in ("failed", "waiting", "young") for name in "ab"]
    assert photos_below(inbox) == left
    kept = jobs.get(old.id)
    assert kept is not None
    assert kept.result is not None
    assert kept.result.verdict.verdict == "通过"
    assert len(kept.new.photos) == 2
    assert (retention.sweep(), photos_below(inbox)) == (0, left)
    # The same photos are the same job, whose verdict is known.
    assert jobs.submit(kept.new)[0].state == "done"


def test_what_is_not_the_services_own_is_never_deleted(jobs: JobStore, tmp_path: Path) -> None:
    photos, watched = tmp_path / "photos", tmp_path / "watched"
    outside = place(watched, "outside")
    (photos / "inner").mkdir(parents=True)
    (photos / "leads-out").symlink_to(watched / "behind")
    behind = place(watched, "behind")
    through_a_link = tuple(
        replace(photo, location=photos / "leads-out" / photo.location.name)
        for photo in behind.photos
    )
    dotted = place(watched, "dotted")
    through_dots = tuple(
        replace(photo, location=photos / "inner" / ".." / ".." / "watched" / "dotted" / "a.jpg")
        for photo in dotted.photos
    )
    done(
        jobs,
        outside,
        replace(behind, photos=through_a_link),
        replace(dotted, photos=through_dots),
    )
    assert Retention(jobs, tmp_path, 30, Watch()).sweep() == 0
    assert len(photos_below(watched)) == 6
    # A link that lies among the photos goes itself; what it leads to stays.
    linked = place(photos, "linked")
    (photos / "linked" / "a.jpg").unlink()
    (photos / "linked" / "a.jpg").symlink_to(watched / "outside" / "a.jpg")
    done(jobs, linked)
    assert Retention(jobs, tmp_path, 30, Watch()).sweep() == 2
    assert len(photos_below(watched)) == 6


def test_a_clock_that_jumps_deletes_nothing(
    jobs: JobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done(jobs, place(tmp_path / "photos", "g"), at=YOUNG)
    watch = Watch()
    retention = Retention(jobs, tmp_path, 30, watch)
    watch.go_on(3600, jump=400 * DAY)
    with caplog.at_level(logging.WARNING):
        assert retention.sweep() == 0
    assert "the clock was set by 9600 h" in caplog.text
    watch.go_on(3600, jump=-400 * DAY)  # it is put right
    assert retention.sweep() == 0
    for _ in range(24):
        watch.go_on(3600)
        assert retention.sweep() == 0
    watch.go_on(29 * DAY)  # the machine slept
    assert retention.sweep() == 2


def test_what_cannot_be_deleted_is_tried_again(
    jobs: JobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = place(tmp_path / "photos", "g")
    done(jobs, new)
    path = tmp_path / "photos" / "g" / "a.jpg"
    path.unlink()
    path.mkdir()  # a folder in its place, which is no photo
    done(jobs, place(tmp_path / "photos", "further"))
    assert Retention(jobs, tmp_path, 30, Watch()).sweep() == 2
    assert "a.jpg: cannot be deleted" in caplog.text
    path.rmdir()
    assert Retention(jobs, tmp_path, 30, Watch()).sweep() == 1
