"""The store of jobs: accepted once, decided once, in the order of lanes, numbers and ends."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from shenhe.errors import UsageError
from shenhe.service.photo_uses import find_uses
from shenhe.service.store import CONNECTIONS, Claimed, JobStore, open_store
from tests.service.conftest import Open
from tests.service.handed_in import MISSION, handed_in, judged


def finish_all(store: JobStore, limit: int = 100) -> list[str]:
    """Take up what is queued and finish it; give the groups in their order."""
    groups = []
    for claimed in store.claim("worker", limit):
        assert store.finish(claimed, judged(claimed.job))
        groups.append(claimed.job.new.group_id)
    return groups


def test_a_group_goes_in_and_comes_out_as_it_was(jobs: JobStore) -> None:
    new = handed_in("QC-1", lane="interactive", folder=Path("/data/照片"))
    new = replace(new, label="fail")
    job, is_new = jobs.submit(new)
    assert is_new
    assert (job.number, job.version, job.state, job.new) == (1, 1, "queued", new)
    assert (job.is_current, job.attempts, job.finished_at, job.result) == (True, 0, "", None)
    assert (jobs.waiting(), jobs.backlog_bytes()) == (1, 2000)
    (claimed,) = jobs.claim("worker", 5)
    assert (claimed.job.id, claimed.job.state, claimed.job.attempts) == (job.id, "running", 1)
    assert jobs.counts() == {"queued": 0, "running": 1, "done": 0, "failed": 0}
    result = judged(job)
    assert jobs.finish(claimed, result)
    done = jobs.get(job.id)
    assert done is not None
    assert (done.state, done.result, done.new) == ("done", result, new)
    assert done.finished_at > done.submitted_at > "20"
    assert (jobs.waiting(), jobs.backlog_bytes(), jobs.get("unknown")) == (0, 0, None)


def test_the_same_photos_are_one_job_and_others_a_version(jobs: JobStore) -> None:
    first, _ = jobs.submit(handed_in("QC-1", "a"))
    assert jobs.submit(replace(handed_in("QC-1", "a"), submitted_by="王工")) == (first, False)
    assert finish_all(jobs) == ["QC-1"]
    done, is_new = jobs.submit(handed_in("QC-1", "a"))
    assert (done.id, done.state, is_new) == (first.id, "done", False)
    second, is_new = jobs.submit(handed_in("QC-1", "a", "b"))
    assert (second.version, second.number, is_new) == (2, 2, True)
    jobs.submit(handed_in("QC-1", "a", mission="other"))
    # What came between does not make the first photos a third version.
    again, is_new = jobs.submit(handed_in("QC-1", "a"))
    assert (again.id, again.is_current, is_new) == (first.id, False, False)
    assert jobs.latest(MISSION, "QC-1") == second
    assert jobs.latest(MISSION, "QC-2") is None


def test_lists_and_pages(jobs: JobStore) -> None:
    for number in range(5):
        jobs.submit(handed_in(f"QC-{number}", f"p{number}", "shared"))
    jobs.submit(handed_in("QC-9", mission="other"))
    assert finish_all(jobs, 2) == ["QC-0", "QC-1"]
    listed = jobs.list(state="queued", mission=MISSION, after=3, limit=1)
    assert [job.new.group_id for job in listed] == ["QC-3"]
    assert [job.number for job in jobs.list(limit=4)] == [1, 2, 3, 4]
    assert [job.number for job in jobs.list("done")] == [1, 2]
    uses = find_uses(jobs, handed_in("QC-8", "shared"))
    assert [use.group_id for use in uses[:2]] == ["QC-0", "QC-1"]


def test_who_waits_comes_before_bulk(jobs: JobStore) -> None:
    jobs.submit(handed_in("bulk-1"))
    jobs.submit(handed_in("bulk-2"))
    jobs.submit(handed_in("quick", lane="interactive"))
    assert finish_all(jobs) == ["quick", "bulk-1", "bulk-2"]
    assert jobs.claim("worker", 5) == []


def test_versions_of_a_group_are_worked_one_after_the_other(jobs: JobStore) -> None:
    jobs.submit(handed_in("QC-1", "a"))
    jobs.submit(handed_in("QC-1", "b", lane="interactive"))
    (first,) = jobs.claim("worker", 5)
    assert (first.job.version, first.job.is_current) == (1, False)
    assert jobs.claim("worker", 5) == []
    jobs.finish(first, judged(first.job))
    (second,) = jobs.claim("worker", 5)
    assert second.job.version == 2


def test_what_is_given_back_is_taken_again_and_has_cost_nothing(jobs: JobStore) -> None:
    jobs.submit(handed_in("QC-1"))
    (claimed,) = jobs.claim("worker", 5)
    jobs.release(claimed)
    assert not jobs.finish(claimed, judged(claimed.job))
    (again,) = jobs.claim("worker", 5)
    assert again.job.attempts == 1
    assert jobs.finish(again, judged(again.job))


def test_of_two_who_end_a_job_the_first_decides_and_may_say_so_twice(
    jobs: JobStore, open_jobs: Open
) -> None:
    jobs.submit(handed_in("QC-1"))
    (claimed,) = jobs.claim("worker", 5)
    other = open_jobs()
    assert not other.finish(Claimed(claimed.job, "another token"), judged(claimed.job))
    assert jobs.finish(claimed, judged(claimed.job, "one"))
    assert jobs.finish(claimed, judged(claimed.job, "two"))
    assert not jobs.fail(claimed, "too late")
    (ended,) = jobs.finished_after(0)
    assert ended.job.result is not None
    assert ended.job.result.verdict.reason == "one"


def test_a_job_that_failed_is_queued_again_when_it_is_handed_in_again(jobs: JobStore) -> None:
    jobs.submit(handed_in("QC-1"))
    (claimed,) = jobs.claim("worker", 5)
    assert jobs.fail(claimed, "the checkpoint cannot be loaded")
    (ended,) = jobs.finished_after(0)
    assert (ended.job.state, ended.job.problem) == ("failed", "the checkpoint cannot be loaded")
    again, is_new = jobs.submit(handed_in("QC-1"))
    assert (again.state, again.problem, again.attempts, is_new) == ("queued", "", 0, False)
    assert jobs.finished_after(0) == []
    jobs.submit(handed_in("QC-2"))
    finish_all(jobs)
    assert [ended.number for ended in jobs.finished_after(1)] == [2, 3]


def test_many_at_once_hand_in_and_take_up_each_group_once(open_jobs: Open) -> None:
    stores = [open_jobs() for _ in range(4)]

    def submit(store: JobStore) -> list[bool]:
        return [store.submit(handed_in(f"QC-{number}"))[1] for number in range(12)]

    def work(store: JobStore) -> list[int]:
        numbers = []
        while claims := store.claim("worker", 2):
            for claimed in claims:
                assert store.finish(claimed, judged(claimed.job))
                numbers.append(claimed.job.number)
        return numbers

    with ThreadPoolExecutor(4) as pool:
        assert sum(map(sum, pool.map(submit, stores))) == 12
        worked = Counter(number for numbers in pool.map(work, stores) for number in numbers)
    assert worked == Counter(range(1, 13))
    assert [ended.number for ended in stores[0].finished_after(0)] == list(range(1, 13))
    assert [ended.number for ended in stores[0].finished_after(7, 3)] == [8, 9, 10]


def test_a_name_that_no_database_holds_is_refused(jobs: JobStore) -> None:
    for group_id in ("a\0b", "\udcb2"):
        with pytest.raises(UsageError, match="stands in no name"):
            jobs.submit(handed_in(group_id))
    job, _ = jobs.submit(handed_in("甲" * 5000, "\udcb2\udce2"))
    assert job.new.photos[0].name == "现场 ��.jpg"


def test_a_process_takes_a_share_of_the_connections(tmp_path: Path, database_url: str) -> None:
    store = open_store(tmp_path, database_url)
    with ThreadPoolExecutor(40) as pool:
        jobs = list(pool.map(lambda n: store.submit(handed_in(f"QC-{n}"))[0], range(80)))
    assert sorted(job.number for job in jobs) == list(range(1, 81))
    counting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    with store.database.reading() as connection:
        assert connection.execute(counting).scalar_one() <= CONNECTIONS
    store.close()
