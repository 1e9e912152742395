"""Jobs through the model: the same rows as a run's, whatever happens meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shenhe.config import Missions, load_prompts, load_teaching
from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import EngineError
from shenhe.intake import PhotoTree
from shenhe.messages import Request, RequestFailed
from shenhe.rows.ledger import read_rows
from shenhe.runs import RunOptions, VerdictPolicy, find_stage_a, run_summaries, run_verdicts
from shenhe.service.hub import ModelHub
from shenhe.service.jobs import Job, NewJob
from shenhe.service.judging import GroupJudge, Rules
from shenhe.service.pipeline import Pipeline, ServedModel
from shenhe.service.store import JobStore, open_store
from tests.service.jobs_of_trees import GROUND, MISSIONS, copy_unlabelled, jobs_of
from tests.service.paced import PacedScript

RULES = Rules(MISSIONS, load_prompts(), load_teaching(None, None, MISSIONS), VerdictPolicy())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = open_store(tmp_path / "data")
    yield store
    store.close()


def _serve(store: JobStore, folder: Path, engine: Any, rules: Rules = RULES) -> Pipeline:
    hub = ModelHub(lambda: engine, batch_size=4, pauses=[0.01])
    pipeline = Pipeline(store, ServedModel(hub, GroupJudge(rules, hub.fingerprint, folder)), "w")
    pipeline.start()
    return pipeline


def _stop(pipeline: Pipeline, seconds: float = 10) -> None:
    pipeline.stop(seconds)
    pipeline.model.hub.close()


def _ended(store: JobStore, jobs: list[NewJob], seconds: float = 60) -> list[Job]:
    """Hand in jobs, and wait until they have ended."""
    ids = [store.submit(new)[0].id for new in jobs]
    end = time.monotonic() + seconds
    while True:
        ended = [job for job in map(store.get, ids) if job and job.state in ("done", "failed")]
        if len(ended) == len(ids):
            return ended
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_job_has_the_rows_of_a_run(store: JobStore, tmp_path: Path, engine: LocalEngine) -> None:
    tree = copy_unlabelled(tmp_path / "tree", groups=4)
    broken = sorted((tree / GROUND).iterdir())[1]
    next(broken.glob("img-*")).write_bytes(b"no photo")
    (sorted((tree / GROUND).iterdir())[2] / "video.mp4").write_bytes(b"\0\0\0\x18ftypmp42" * 9)
    run_summaries(
        engine,
        PhotoTree(tree),
        MISSIONS.get(GROUND),
        RULES.prompts.summary,
        tmp_path / "run" / "stage_a",
        engine_options={},
        run=RunOptions(),
    )
    for source in find_stage_a(tmp_path / "run" / "stage_a", MISSIONS):
        folder = tmp_path / "run" / "stage_b"
        how = RunOptions()
        run_verdicts(engine, source, RULES.prompts.verdict, folder, engine_options={}, run=how)
    pipeline = _serve(store, tmp_path / "data", engine)
    jobs = _ended(store, jobs_of(tree))
    _stop(pipeline)
    results = [job.result for job in jobs if job.result]
    assert len(results) == 4
    assert _bare([r.summary for r in results if r.summary]) == _of_run(tmp_path, "stage_a")
    assert _bare([result.verdict for result in results]) == _of_run(tmp_path, "stage_b")
    failures = [failure for result in results for failure in result.failures]
    of_run = [
        *_of_run(tmp_path, "stage_a", ".failures"),
        *_of_run(tmp_path, "stage_b", ".failures"),
    ]
    assert _bare(failures) == sorted(of_run, key=str)
    assert {failure.code for failure in failures} >= {"not_a_photo", "left_out"}


def _of_run(folder: Path, stage: str, kind: str = "") -> list[dict[str, Any]]:
    rows = read_rows(folder / "run" / stage / f"{GROUND}{kind}.jsonl")
    return sorted(map(_without_times, rows), key=str)


def _bare(rows: list[Any]) -> list[dict[str, Any]]:
    return sorted((_without_times(json.loads(row.to_json())) for row in rows), key=str)


def _without_times(row: dict[str, Any]) -> dict[str, Any]:
    """Drop the time; scores differ in their last digits with the batch that a prompt stands in."""
    row = {**row, "timestamp": ""}
    if "p_pass" in row:
        row["p_pass"] = row["p_pass"] and round(row["p_pass"], 3)
        odds = row["meta"]["log_odds"]
        row["meta"] = {**row["meta"], "log_odds": odds and round(odds, 2)}
    return row


def _script(request: Request) -> str | RequestFailed:
    if request.choices:
        return "通过\n理由: 各图均符合要求"
    return "BBU设备/华为,显示完整,无需安装×1"


def test_a_refused_answer_is_asked_again(store: JobStore, tmp_path: Path) -> None:
    tree = copy_unlabelled(tmp_path / "tree", groups=1)
    engine = PacedScript(lambda request: _script(request) if request.attempt else "")
    pipeline = _serve(store, tmp_path / "data", engine)
    (job,) = _ended(store, jobs_of(tree))
    _stop(pipeline)
    assert job.result
    assert job.result.summary
    assert {a.attempts for a in job.result.summary.meta.answers.values()} == {2}


def test_a_model_that_dies_costs_no_job(store: JobStore, tmp_path: Path) -> None:
    tree = copy_unlabelled(tmp_path / "tree", groups=4)
    deaths = iter(range(2))

    def script(request: Request) -> str | RequestFailed:
        if request.choices and next(deaths, None) is not None:
            raise RuntimeError("CUDA error")
        return _script(request)

    pipeline = _serve(store, tmp_path / "data", PacedScript(script))
    jobs = _ended(store, jobs_of(tree))
    _stop(pipeline)
    assert [job.state for job in jobs] == ["done"] * 4


def test_a_job_over_which_the_model_dies_again_and_again_fails(
    store: JobStore, tmp_path: Path
) -> None:
    tree = copy_unlabelled(tmp_path / "tree", groups=3)
    news = jobs_of(tree)

    def script(request: Request) -> str | RequestFailed:
        if news[1].group_id in request.key:
            raise EngineError("the GPU fell off")
        return _script(request)

    pipeline = _serve(store, tmp_path / "data", PacedScript(script))
    jobs = _ended(store, news)
    _stop(pipeline)
    assert jobs[1].state == "failed"
    assert "the GPU fell off" in jobs[1].problem
    assert [jobs[0].state, jobs[2].state] == ["done", "done"]


def test_a_job_that_is_worked_alone_is_not_put_off_by_others(
    store: JobStore, tmp_path: Path
) -> None:
    news = jobs_of(copy_unlabelled(tmp_path / "tree", groups=3))
    deaths = iter(range(2))

    def script(request: Request) -> str | RequestFailed:
        if news[0].group_id in request.key and next(deaths, None) is not None:
            raise EngineError("the GPU fell off")
        time.sleep(0.005)
        return _script(request)

    pipeline = _serve(store, tmp_path / "data", PacedScript(script))
    first, _ = store.submit(news[0])
    number, end = 0, time.monotonic() + 10
    while _state(store, first) != "done":
        assert time.monotonic() < end
        if store.waiting() < 20:
            number += 1
            store.submit(replace(news[1], contents=f"{number}", group_id=f"other-{number}"))
    _stop(pipeline, 0)


def _state(store: JobStore, job: Job) -> str:
    found = store.get(job.id)
    return found.state if found else ""


def test_a_mission_that_is_not_configured_waits_until_it_is(
    store: JobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = jobs_of(copy_unlabelled(tmp_path / "tree", groups=2))
    store.submit(replace(first, mission="unheard of", lane="interactive"))
    pipeline = _serve(store, tmp_path / "data", PacedScript(_script))
    (job,) = _ended(store, [second])
    assert job.state == "done"
    _until(lambda: store.waiting_by_mission() == {"unheard of": 1})
    assert store.counts() == {"queued": 1, "running": 0, "done": 1, "failed": 0}
    assert caplog.text.count("'unheard of' is not configured here: its groups wait") == 1
    _stop(pipeline)
    mission = MISSIONS.get(GROUND).model_copy(update={"name": "unheard of"})
    rules = replace(RULES, missions=Missions((*MISSIONS, mission)))
    again = _serve(store, tmp_path / "data", PacedScript(_script), rules)
    _until(lambda: store.counts()["done"] == 2)
    _stop(again)


def test_what_was_not_begun_goes_to_another_worker_when_the_model_is_away(
    store: JobStore, tmp_path: Path
) -> None:
    news = jobs_of(copy_unlabelled(tmp_path / "tree", groups=3))
    deaths: list[str] = []

    def script(request: Request) -> str | RequestFailed:
        if news[0].group_id in request.key:
            deaths.append(request.key)
            raise EngineError("the GPU fell off")
        return _script(request)

    engines = [PacedScript(script), PacedScript(script), PacedScript(script)]

    def create() -> PacedScript:
        if not engines:
            raise EngineError("no GPU")
        return engines.pop()

    hub = ModelHub(create, batch_size=4, pauses=[0.01])
    broken = Pipeline(
        store, ServedModel(hub, GroupJudge(RULES, hub.fingerprint, tmp_path)), "broken"
    )
    broken.start()
    ids = [store.submit(new)[0].id for new in news]
    _until(lambda: not engines and "no GPU" in hub.problem)
    _until(lambda: not broken.busy)
    assert store.counts()["running"] == 0
    other = _serve(store, tmp_path / "data", PacedScript(_script))
    _until(lambda: store.counts()["done"] == len(ids))
    _stop(other)
    _stop(broken)


def test_a_stop_ends_what_is_in_hand_and_puts_back_the_rest(
    store: JobStore, tmp_path: Path
) -> None:
    engine = PacedScript(_script)
    engine.gate.clear()
    pipeline = _serve(store, tmp_path / "data", engine)
    jobs = jobs_of(copy_unlabelled(tmp_path / "tree", groups=6))
    for new in jobs:
        store.submit(new)
    _until(lambda: engine.largest == 4)
    assert pipeline.busy
    pipeline.stop(seconds=0.2)
    engine.gate.set()
    pipeline.model.hub.close()
    assert store.counts()["queued"] == 6
    again = _serve(store, tmp_path / "data", PacedScript(_script))
    assert [job.state for job in _ended(store, jobs)] == ["done"] * 6
    _stop(again)


def test_another_model_takes_over_without_a_lost_job(store: JobStore, tmp_path: Path) -> None:
    first, second = PacedScript(_script), PacedScript(_script)
    second.fingerprint = "another"
    pipeline = _serve(store, tmp_path / "data", first)
    jobs = jobs_of(copy_unlabelled(tmp_path / "tree", groups=6))
    first.gate.clear()
    ids = [store.submit(new)[0].id for new in jobs[:3]]
    _until(lambda: first.largest == 4)
    hub = ModelHub(lambda: second, batch_size=4)
    first.gate.set()
    model = ServedModel(hub, GroupJudge(RULES, hub.fingerprint, tmp_path))
    pipeline.take_over(model).hub.close()
    ended = _ended(store, jobs)
    _stop(pipeline)
    checkpoints = [job.result.verdict.meta.checkpoint for job in ended if job.result]
    assert len(checkpoints) == 6
    assert checkpoints[-1] == "another"
    assert first.is_closed
    assert len(ids) == 3
    for job in ended:  # lines and verdict are of one model
        assert job.result
        assert job.result.summary
        assert job.result.summary.meta.checkpoint == job.result.verdict.meta.checkpoint


def _until(condition: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
