"""Jobs of workers that were killed, that hang, or whose database was away: none is lost."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from shenhe.errors import DatabaseAwayError, RunError
from shenhe.service.store import MAX_ATTEMPTS, Claimed, JobStore, open_store
from shenhe.service.tables import JOBS, WORKERS
from tests.servers.postgres import Postgres
from tests.servers.starting import ROOT
from tests.service.conftest import Open
from tests.service.cutting import CutWay
from tests.service.handed_in import handed_in, judged

Kill = Callable[..., list[list[int]]]


@pytest.fixture
def kill_workers(tmp_path: Path, store_url: str) -> Kill:
    """Has so many workers killed, each over some jobs; gives the numbers of those jobs."""

    def kill(times: int, limit: int = 1) -> list[list[int]]:
        module = (sys.executable, "-m", "tests.service.worker_process")
        arguments = (str(tmp_path), store_url or "-", str(limit), str(times))
        numbers = subprocess.check_output([*module, *arguments], cwd=ROOT, text=True, timeout=60)
        return [[int(number) for number in line.split()] for line in numbers.splitlines()]

    return kill


def claim_within(store: JobStore, seconds: float, count: int = 1) -> Sequence[Claimed]:
    """Claim what comes free within so many seconds, until it is so much."""
    until = time.monotonic() + seconds
    claims: list[Claimed] = []
    while len(claims) < count and time.monotonic() < until:
        claims += store.claim("worker", 10)
        time.sleep(0.02)
    return claims


def finish(store: JobStore, *claims: Claimed) -> list[bool]:
    return [store.finish(claimed, judged(claimed.job)) for claimed in claims]


def test_jobs_of_a_worker_that_was_killed_are_taken_at_once(
    jobs: JobStore, kill_workers: Kill
) -> None:
    for number in (1, 2):
        jobs.submit(handed_in(f"QC-{number}"))
    assert kill_workers(1) == [[1]]
    claims = claim_within(jobs, 10, 2)
    assert sorted((c.job.number, c.job.attempts) for c in claims) == [(1, 2), (2, 1)]
    assert finish(jobs, *claims) == [True, True]


def test_a_job_that_kills_its_workers_fails_and_no_other_one(
    jobs: JobStore, kill_workers: Kill
) -> None:
    for number in range(1, 5):
        jobs.submit(handed_in(f"QC-{number}"))
    # Those that died with it twice are taken apart: from then on it dies alone.
    killed = kill_workers(MAX_ATTEMPTS, 10)
    assert (killed[0], *killed[2:]) == ([1, 2, 3, 4], *([[1]] * (MAX_ATTEMPTS - 2)))
    claims = claim_within(jobs, 10)
    assert [claimed.job.number for claimed in claims] == [2]
    until = time.monotonic() + 10
    while not jobs.counts()["failed"] and time.monotonic() < until:
        assert jobs.claim("worker", 10) == []
    while claims:
        assert finish(jobs, *claims) == [True]
        claims = jobs.claim("worker", 10)
    assert jobs.counts() == {"queued": 0, "running": 0, "done": 3, "failed": 1}
    ended = jobs.finished_after(0)[0]
    assert (ended.job.number, ended.job.state) == (1, "failed")
    assert ended.job.problem == "its worker died 5 times"


def test_what_workers_died_over_is_worked_by_itself(jobs: JobStore) -> None:
    for number in range(1, 7):
        jobs.submit(handed_in(f"QC-{number}"))
    with jobs.database.transaction() as connection:
        is_own = JOBS.c.run == jobs.database.run
        for number, deaths in ((2, 3), (3, 3), (5, 2), (6, 2)):
            dying = update(JOBS).where(is_own, JOBS.c.number == number).values(attempts=deaths)
            connection.execute(dying)

    def claim() -> list[Claimed]:
        claims = list(jobs.claim("worker", 10))
        taken.append([claimed.job.number for claimed in claims])
        return claims

    taken: list[list[int]] = []
    for _ in range(4):
        claims = claim()
        assert jobs.claim("worker", 10) == []  # beside those in hand
        finish(jobs, *claims)
    assert taken == [[2], [3], [1, 4, 5], [6]]


def test_a_worker_that_hangs_loses_its_jobs_and_one_that_lives_does_not(
    open_jobs: Open,
) -> None:
    first, second = open_jobs(lease_seconds=0.2), open_jobs(lease_seconds=0.2)
    first.submit(handed_in("QC-1"))
    (hers,) = first.claim("hangs", 5)
    for _ in range(8):
        time.sleep(0.05)
        first.renew("hangs")
        assert second.claim("waits", 5) == []
    (theirs,) = claim_within(second, 10)
    assert theirs.job.attempts == 2
    assert (finish(first, hers), finish(second, theirs)) == ([False], [True])
    assert len(first.finished_after(0)) == 1


def test_a_worker_that_comes_back_before_anybody_took_its_job_decides(open_jobs: Open) -> None:
    first, second = open_jobs(lease_seconds=0.2), open_jobs(lease_seconds=0.2)
    first.submit(handed_in("QC-1"))
    claims = first.claim("hangs", 5)
    while first.counts()["running"]:
        time.sleep(0.05)
        second.claim("only looks", 0)
    assert finish(first, *claims) == [True]
    assert second.claim("waits", 5) == []


def test_a_worker_that_was_given_up_and_lives_keeps_what_it_takes_later(open_jobs: Open) -> None:
    first, second = open_jobs(lease_seconds=0.2), open_jobs(lease_seconds=0.2)
    first.submit(handed_in("QC-1"))
    first.claim("hangs", 5)
    while first.counts()["running"]:
        time.sleep(0.05)
        second.claim("only looks", 0)
    first.renew("hangs no longer")
    (claimed,) = first.claim("hangs no longer", 5)
    for _ in range(4):
        first.renew("hangs no longer")
        time.sleep(0.06)
        assert second.claim("waits", 5) == []
    assert finish(first, claimed) == [True]


def test_a_service_that_stops_gives_its_jobs_back(open_jobs: Open) -> None:
    first, second = open_jobs(), open_jobs()
    first.submit(handed_in("QC-1"))
    first.claim("stops", 5)
    assert second.claim("waits", 5) == []
    first.close()
    (claimed,) = second.claim("waits", 5)
    assert claimed.job.attempts == 1


def test_no_clock_takes_part(jobs: JobStore, open_jobs: Open) -> None:
    """Times that a clock wrote while it was years ahead change neither order nor leases."""
    for number in range(3):
        jobs.submit(handed_in(f"QC-{number}"))
    held = jobs.claim("worker", 2)
    with jobs.database.transaction() as connection:
        is_first = (JOBS.c.run == jobs.database.run) & (JOBS.c.number != 2)
        ahead = update(JOBS).where(is_first).values(submitted_at="2039-01-01T00:00:00.000000Z")
        connection.execute(ahead)
    others = open_jobs().claim("other", 5)
    assert [claimed.job.number for claimed in others] == [3]
    assert finish(jobs, *held, *others) == [True, True, True]
    assert [ended.job.number for ended in jobs.finished_after(0)] == [1, 2, 3]


def test_jobs_of_a_worker_that_nobody_lists_are_taken(jobs: JobStore, open_jobs: Open) -> None:
    jobs.submit(handed_in("QC-1"))
    jobs.claim("unlisted", 5)
    with jobs.database.transaction() as connection:
        connection.execute(delete(WORKERS).where(WORKERS.c.run == jobs.database.run))
    assert len(open_jobs().claim("other", 5)) == 1


def test_a_restart_of_the_database_costs_no_worker_its_jobs(
    tmp_path: Path, postgres: Postgres, shared_url: str
) -> None:
    first, second = (open_store(tmp_path, shared_url) for _ in range(2))
    for number in range(2):
        first.submit(handed_in(f"QC-{number}"))
    held = first.claim("worker", 1)
    assert len(second.claim("other", 5)) == 1
    postgres.kill9()
    with pytest.raises(DatabaseAwayError):
        first.finish(held[0], judged(held[0].job))
    with pytest.raises(DatabaseAwayError):
        first.renew("worker")
    postgres.start()
    second.claim("other", 0)  # sees that nobody holds a lock, which means nothing yet
    first.renew("worker")
    assert second.claim("other", 5) == []
    assert finish(first, *held) == [True]
    first.close()
    second.close()


def test_while_the_database_is_away_no_lease_runs_out(
    tmp_path: Path, postgres: Postgres, shared_url: str
) -> None:
    """An outage longer than a lease is no sign that a worker hangs: nobody could count."""
    first, opened = (open_store(tmp_path, shared_url) for _ in range(2))
    second = JobStore(opened.database, data_dir=tmp_path, lease_seconds=0.5)
    first.submit(handed_in("QC-1"))
    held = first.claim("worker", 1)
    assert second.claim("other", 5) == []  # looks at the count of the first
    postgres.kill9()
    with pytest.raises(DatabaseAwayError):
        first.renew("worker")
    time.sleep(0.6)
    postgres.start()
    assert second.claim("other", 5) == []
    first.renew("worker")
    assert second.claim("other", 5) == []
    assert finish(first, *held) == [True]
    first.close()
    second.close()


def test_what_was_done_while_the_line_broke_is_done_once(
    tmp_path: Path, postgres: Postgres, shared_url: str
) -> None:
    way = CutWay(postgres.port)
    store = open_store(tmp_path, shared_url.replace(str(postgres.port), str(way.port)))
    way.cut_next = True
    job, _ = store.submit(handed_in("QC-1"))
    assert (job.number, store.waiting()) == (1, 1)
    store.renew("worker")
    way.cut_next = True
    with pytest.raises(DatabaseAwayError):
        store.claim("worker", 5)
    assert store.counts()["running"] == 1  # it is its own, and it does not know
    (claimed,) = store.claim("worker", 5)
    assert store.claim("worker", 5) == []
    way.cut_next = True
    assert finish(store, claimed) == [True]
    assert [ended.number for ended in store.finished_after(0)] == [1]
    store.close()
    way.close()


def test_a_full_disk_takes_nothing_in_and_loses_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.submit(handed_in("QC-1"))
    (claimed,) = store.claim("worker", 1)
    written = (tmp_path / "service" / "jobs.sqlite-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, hard))
    try:
        with pytest.raises(RunError, match="nothing is lost"):
            store.submit(handed_in("QC-2"))
        with pytest.raises(RunError, match="nothing is lost"):
            store.finish(claimed, judged(claimed.job))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.counts() == {"queued": 0, "running": 1, "done": 0, "failed": 0}
    assert store.submit(handed_in("QC-2"))[1]
    assert finish(store, claimed) == [True]
    store.close()
