"""A damaged record costs its own job, which is told of by name, and no other one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text, update

from shenhe.service.rows import Mark, RowsFollower
from shenhe.service.store import JobStore, open_store
from shenhe.service.tables import JOBS
from tests.service.conftest import Open
from tests.service.ended_jobs import EndedJobs
from tests.service.handed_in import handed_in, judged

DAMAGES = ["[{", "null", "7", '[{"location": 3}]', '[{"location": "xyz://1", "name": "a",'
    ' "content_hash": "", "size": 1}]']  # fmt: skip


def _damage(store: JobStore, number: int, **cells: object) -> None:
    with store.database.transaction() as connection:
        is_it = (JOBS.c.run == store.database.run) & (JOBS.c.number == number)
        connection.execute(update(JOBS).where(is_it).values(**cells))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_job_fails_alone(jobs: JobStore, damage: str) -> None:
    for number in (1, 2, 3):
        jobs.submit(handed_in(f"QC-{number}"))
    _damage(jobs, 2, photos=damage)
    claims = jobs.claim("worker", 5)
    assert [claimed.job.number for claimed in claims] == [1, 3]
    assert all(jobs.finish(claimed, judged(claimed.job)) for claimed in claims)
    assert jobs.claim("worker", 5) == []
    assert jobs.counts() == {"queued": 0, "running": 0, "done": 2, "failed": 1}
    told = {end.job.number: end.job.problem for end in jobs.finished_after(0)}
    assert sorted(told) == [1, 2, 3]
    assert "its record in" in told[2]
    assert "is damaged" in told[2]


@pytest.mark.parametrize("damage", ["{", None, "[]", '{"verdict": {"verdict": "通过"}}'])
def test_a_damaged_result_is_a_failure_to_all_who_follow(
    jobs: JobStore, damage: str | None
) -> None:
    for number in (1, 2):
        jobs.submit(handed_in(f"QC-{number}"))
    for claimed in jobs.claim("worker", 5):
        jobs.finish(claimed, judged(claimed.job))
    _damage(jobs, 1, result=damage)
    damaged, sound = (end.job for end in jobs.finished_after(0))
    assert (damaged.state, damaged.result, sound.state) == ("failed", None, "done")
    assert "is damaged" in damaged.problem
    # Handed in again it is worked again: its photos are there.
    again, is_new = jobs.submit(handed_in("QC-1"))
    assert (again.id, again.state, is_new) == (damaged.id, "queued", False)
    (claimed,) = jobs.claim("worker", 5)
    assert jobs.finish(claimed, judged(claimed.job))
    assert [end.job.state for end in jobs.finished_after(0)] == ["done", "done"]


def test_a_job_that_was_damaged_is_worked_when_it_is_handed_in_again(jobs: JobStore) -> None:
    jobs.submit(handed_in("QC-1"))
    _damage(jobs, 1, photos="", rank=9)
    assert jobs.claim("worker", 5) == []
    job, is_new = jobs.submit(handed_in("QC-1"))
    assert (job.state, is_new, job.new.photos) == ("queued", False, handed_in("QC-1").photos)
    assert len(jobs.claim("worker", 5)) == 1


def test_bytes_that_are_no_text_damage_one_job(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in (1, 2):
        store.submit(handed_in(f"QC-{number}"))
    cut = text("UPDATE service_jobs SET photos = CAST(x'5b7b22e7' AS TEXT) WHERE number = 1")
    with store.database.transaction() as connection:
        connection.execute(cut)
    store.close()
    store = open_store(tmp_path)
    assert [claimed.job.number for claimed in store.claim("worker", 5)] == [2]
    (failed,) = store.list("failed")
    assert failed.new.group_id == "QC-1"
    store.close()


def test_a_damaged_job_has_an_undecided_row(tmp_path: Path, open_jobs: Open) -> None:
    store = open_jobs()
    ended = EndedJobs(store, tmp_path)
    for number in (1, 2):
        ended.end(f"QC-{number}", "good")
    _damage(store, 1, result="{")
    follower = RowsFollower(store, tmp_path / "data", lambda: ended.judge)
    assert follower.write_after(Mark()).number == 2
    (verdicts,) = (tmp_path / "data" / "stage_b").glob("*接地线检查.jsonl")
    assert '"group_id":"QC-1","mission":"BBU接地线检查","label":null,"verdict":null' in (
        verdicts.read_text(encoding="utf-8")
    )
    (failures,) = (tmp_path / "data" / "stage_a").glob("*.failures.jsonl")
    assert "is damaged" in failures.read_text(encoding="utf-8")
