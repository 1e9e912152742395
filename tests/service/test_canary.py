"""Another checkpoint for a service that runs: compared, then taken over or refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shenhe.cli.main import exit_code
from shenhe.errors import CheckpointError, RunError
from shenhe.messages import Request
from shenhe.runs import VerdictPolicy
from shenhe.service.bell import read_last_end
from shenhe.service.canary import (
    CanaryOrder,
    CanaryOutcome,
    CanaryWatch,
    new_order_id,
    order_canary,
    read_outcomes,
)
from shenhe.service.chat.served import ChatModel, NamedModel
from shenhe.service.comparing import find_newest, read_held
from shenhe.service.hub import ModelHub
from shenhe.service.judging import GroupJudge
from shenhe.service.pipeline import Pipeline, ServedModel
from shenhe.service.refusals import RefusedError
from shenhe.service.store import JobStore, open_store
from tests.service.ended_jobs import MISSION, RULES, EndedJobs
from tests.service.paced import PacedScript

NO_EVIDENCE = replace(RULES, policy=VerdictPolicy(evidence=False))
FAIL_TEXT, PASS_TEXT = "不通过\n理由: 缺少螺丝", "通过\n理由: 均符合要求"


class Service:
    """A service whose checkpoint fails all groups, with some decided jobs."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.data = folder / "data"
        self.store = open_store(self.data)
        stack.callback(self.store.close)
        self.ended = EndedJobs(self.store, folder)
        self.pipeline = Pipeline(self.store, self.model("scripted", lambda _: FAIL_TEXT), "w")
        stack.callback(lambda: self.pipeline.model.hub.close())
        stack.callback(self.pipeline.stop, 5)

    def model(self, name: str, verdict: Callable[[Request], str]) -> ServedModel:
        def script(request: Request) -> str:
            return verdict(request) if request.choices else "接地线/安装符合要求"

        engine = PacedScript(script)
        engine.fingerprint = name
        hub = ModelHub(lambda: engine, batch_size=4)
        return ServedModel(hub, GroupJudge(NO_EVIDENCE, hub.fingerprint, self.data))

    def watch(self, load: Callable[[CanaryOrder], ServedModel]) -> CanaryWatch:
        def last_number() -> int:
            return read_last_end(self.store)

        return CanaryWatch(self.data, self.pipeline, self.store, last_number, load, 0.01)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        service = Service(tmp_path, stack)
        for number in range(4):
            service.ended.end(f"QC-{number}", "good")
        yield service


def _order(**fields: Any) -> CanaryOrder:
    return CanaryOrder(id=new_order_id(), model="another", **fields)


def test_one_that_agrees_takes_over(service: Service) -> None:
    another = service.model("another", lambda _: FAIL_TEXT)
    outcome = service.watch(lambda order: another).carry_out(_order())
    assert (outcome.state, outcome.reason, outcome.done) == ("taken_over", "", 4)
    assert outcome.pairs == (("不通过", "不通过", 4),)
    assert service.pipeline.model is another
    service.pipeline.start()
    job = service.store.submit(service.ended.new("QC-9", "good"))[0]
    _until(lambda: _state(service.store, job.id) == "done")
    ended = service.store.get(job.id)
    assert ended
    assert ended.result
    assert ended.result.verdict.meta.checkpoint == "another"


def test_one_that_passes_what_failed_is_refused(service: Service) -> None:
    def verdict(request: Request) -> str:
        return PASS_TEXT if "QC-2" in request.key else FAIL_TEXT

    before = service.pipeline.model
    watch = service.watch(lambda order: service.model("another", verdict))
    outcome = watch.carry_out(_order())
    assert outcome.state == "refused"
    assert "1 of 4 groups that were 不通过 would be 通过: 25.0%" in outcome.reason
    assert outcome.newly_passed == (f"{MISSION}/QC-2",)
    assert service.pipeline.model is before
    assert watch.carry_out(_order(limit=0.25)).state == "taken_over"


def test_one_that_does_not_load_or_has_nothing_to_be_held_against_is_refused(
    service: Service, tmp_path: Path
) -> None:
    def refuse(order: CanaryOrder) -> ServedModel:
        raise CheckpointError(f"{order.model}: no such folder")

    assert service.watch(refuse).carry_out(_order()).reason == "another: no such folder"
    watch = service.watch(lambda order: service.model("another", lambda _: FAIL_TEXT))
    held = tmp_path / "held.txt"
    held.write_text("\n", encoding="utf-8")
    assert "none of the groups compared" in watch.carry_out(_order(held=str(held))).reason
    assert "missing.txt: cannot be read" in watch.carry_out(_order(held="missing.txt")).reason


def test_what_it_is_held_against(service: Service, tmp_path: Path) -> None:
    service.ended.end("QC-1", "good and newer")
    service.ended.end("QC-5", "undecided")
    last = read_last_end(service.store)
    newest = find_newest(service.store, last, 3, "scripted")
    assert [job.new.group_id for job in newest] == ["QC-1", "QC-3", "QC-2"]
    assert find_newest(service.store, last, 3, "of another checkpoint") == []
    held = tmp_path / "held.jsonl"
    held.write_text(
        f'{newest[1].id}\n\n{{"mission": "{MISSION}", "group_id": "QC-1"}}\n', encoding="utf-8"
    )
    assert [job.new.group_id for job in read_held(service.store, held)] == ["QC-3", "QC-1"]
    undecided = f'{{"group_id": "QC-5", "mission": "{MISSION}"}}'
    for line in ("nobody's", "{}", '{"mission": 1}', "[", undecided):
        held.write_text(line, encoding="utf-8")
        with pytest.raises(RunError, match="line 1 names no decided job"):
            read_held(service.store, held)


def test_an_order_is_carried_out_by_a_running_process(service: Service) -> None:
    order_canary(service.data, _order())  # one from before it started is over
    watch = service.watch(lambda order: service.model(order.model, lambda _: FAIL_TEXT))
    watch.start()
    order = _order()
    order_canary(service.data, order)
    outcomes: list[CanaryOutcome] = []

    def is_over() -> bool:
        outcomes[:] = read_outcomes(service.data, order.id)
        return any(outcome.is_over for outcome in outcomes)

    _until(is_over)
    watch.stop()
    assert [outcome.state for outcome in outcomes] == ["taken_over"]
    assert service.pipeline.model.hub.fingerprint == "another"


def _state(store: JobStore, job_id: str) -> str:
    job = store.get(job_id)
    return job.state if job else ""


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_chat_goes_by_the_name_of_the_checkpoint_that_answers(service: Service) -> None:
    """Clients of the last one go on, and read in the answer which one gave it."""
    pipeline = service.pipeline
    chat = ChatModel(
        NamedModel("first"), lambda: pipeline.model.hub, find_successor=lambda: pipeline.model.named
    )
    assert chat.listed["id"] == "first"
    with pytest.raises(RefusedError, match="it has 'first'"):
        chat.check_name("second")
    model = service.model("another", lambda _: FAIL_TEXT)._replace(named=NamedModel("second"))
    pipeline.take_over(model).hub.close()
    assert (chat.listed["id"], chat.listed["fingerprint"]) == ("second", "another")
    for name in ("first", "second", "", None):
        chat.check_name(name)
    with pytest.raises(RefusedError, match="it has 'second'"):
        chat.check_name("third")


def test_who_tried_a_checkpoint_is_told_how_to_start_it_from_now_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def carry_out() -> None:
        order = tmp_path / "service" / "canary" / "order.json"
        while not order.exists():
            time.sleep(0.01)
        order_id = CanaryOrder.model_validate_json(order.read_bytes()).id
        outcome = CanaryOutcome(id=order_id, worker="w-1", state="taken_over", checkpoint="c")
        order.with_name(f"{order_id}.w-1.json").write_text(outcome.to_json(), encoding="utf-8")

    thread = threading.Thread(target=carry_out)
    thread.start()
    model = [
        "--model",
        "merged-2",
        "--adapters",
        "lora-1",
        "--adapters",
        "lora-2",
        "--engine",
        "server",
    ]
    assert exit_code(["serve", "--data", str(tmp_path), "--canary", *model]) == 0
    thread.join()
    told = capsys.readouterr().err
    assert "start the service with --model merged-2 --adapters lora-1 --adapters lora-2" in told
