"""One model for all threads: one batch, lanes, an engine that dies and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait

import pytest

from shenhe.errors import EngineError
from shenhe.messages import Answer, Message, Piece, Request, RequestFailed
from shenhe.service.hub import ModelHub
from shenhe.service.hub_engine import HubEngine
from tests.service.paced import PacedScript


def _request(key: str) -> Request:
    return Request(key, (Message("user", (f"question {key}",)),), 8)


def _text(result: Answer | RequestFailed) -> str:
    assert isinstance(result, Answer)
    return result.text


@pytest.fixture
def engine() -> PacedScript:
    return PacedScript(lambda request: f"answer to {request.key}")


@pytest.fixture
def hub(engine: PacedScript) -> Iterator[ModelHub]:
    hub = ModelHub(lambda: engine, batch_size=4)
    yield hub
    engine.gate.set()
    hub.close()


def test_requests_of_all_threads_join_one_batch(hub: ModelHub, engine: PacedScript) -> None:
    engine.gate.clear()
    futures = [hub.submit(_request(f"{number}")) for number in range(6)]
    _until(lambda: engine.largest == 4)
    assert (hub.load.total, hub.fingerprint) == (6, "scripted")
    engine.gate.set()
    assert [_text(future.result(5)) for future in futures] == [f"answer to {n}" for n in range(6)]
    assert hub.load == (0, 0)


def test_interactive_requests_are_answered_before_bulk_ones(
    hub: ModelHub, engine: PacedScript
) -> None:
    engine.gate.clear()
    bulk = [hub.submit(_request(f"bulk {number}"), "bulk") for number in range(8)]
    _until(lambda: engine.largest == 4)
    late = hub.submit(_request("somebody waits"))
    engine.gate.set()
    wait([*bulk, late], 5)
    order = [request.key for request in engine.asked]
    assert order[:4] == [f"bulk {number}" for number in range(4)]
    assert order.index("somebody waits") == 4


def test_what_nobody_waits_for_any_more_is_not_asked(hub: ModelHub, engine: PacedScript) -> None:
    engine.gate.clear()
    futures = [hub.submit(_request(f"{number}")) for number in range(6)]
    _until(lambda: engine.largest == 4)
    assert futures[5].cancel()
    engine.gate.set()
    wait(futures[:5], 5)
    _text(hub.submit(_request("last")).result(5))
    assert "5" not in [request.key for request in engine.asked]


def test_an_idle_hub_costs_nothing_and_answers_at_once(hub: ModelHub) -> None:
    hub.submit(_request("warm")).result(5)
    before, began = time.process_time(), time.monotonic()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1
    began = time.monotonic()
    hub.submit(_request("now")).result(5)
    assert time.monotonic() - began < 0.1


def test_an_engine_that_dies_is_started_anew() -> None:
    engines: list[PacedScript] = []

    def script(request: Request) -> str:
        if request.key == "poison":
            raise RuntimeError("CUDA error")
        return "fine"

    def create() -> PacedScript:
        engines.append(PacedScript(script))
        return engines[-1]

    hub = ModelHub(create, batch_size=4, pauses=[0.01])
    assert _text(hub.submit(_request("first")).result(5)) == "fine"
    with pytest.raises(EngineError, match="RuntimeError: CUDA error"):
        hub.submit(_request("poison")).result(5)
    assert _text(hub.submit(_request("second")).result(5)) == "fine"
    assert (len(engines), engines[0].is_closed, hub.problem) == (2, True, "")
    hub.close()
    assert engines[1].is_closed


def test_a_model_that_does_not_come_back_is_told() -> None:
    starts = 0

    def create() -> PacedScript:
        nonlocal starts
        starts += 1
        engine = PacedScript(lambda request: RequestFailed(request.key, "no", "no"))
        if starts == 1:
            engine.scripted.script = lambda request: str(1 / 0)
        elif starts == 2:
            raise EngineError("no GPU is there")
        else:
            engine.fingerprint = "of another checkpoint"
        return engine

    hub = ModelHub(create, batch_size=4, pauses=[0.01])
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        hub.submit(_request("first")).result(5)
    _until(lambda: "its checkpoint was replaced" in hub.problem)
    with pytest.raises(EngineError, match="its checkpoint was replaced"):
        hub.submit(_request("second"))
    hub.close()


def test_a_closed_hub_answers_what_it_has_and_nothing_more(
    hub: ModelHub, engine: PacedScript
) -> None:
    futures = [hub.submit(_request(f"{number}")) for number in range(9)]
    hub.close()
    assert all(_text(future.result(0)).startswith("answer") for future in futures)
    assert engine.is_closed
    with pytest.raises(EngineError, match="put away"):
        hub.submit(_request("late"))


def test_a_streamed_answer_leaves_as_it_grows(hub: ModelHub, engine: PacedScript) -> None:
    *pieces, answer = hub.stream(_request("a"))
    assert isinstance(answer, Answer)
    assert [piece.text for piece in pieces if isinstance(piece, Piece)] == list("answer to a")
    assert answer.text == "answer to a"
    engine.scripted.script = lambda request: RequestFailed(request.key, "too_long", "too long")
    assert [type(result) for result in hub.stream(_request("b"))] == [RequestFailed]


def test_whoever_leaves_a_stream_stops_the_model(hub: ModelHub, engine: PacedScript) -> None:
    engine.scripted.script = lambda request: "x" * 100_000
    stream = hub.stream(_request("long"))
    assert isinstance(next(stream), Piece)
    stream.close()
    assert engine.cancelled == ["long"]
    _until(lambda: not hub.load.total)
    engine.gate.clear()
    waiting = [hub.submit(_request(f"{number}")) for number in range(5)]
    stream = hub.stream(_request("never asked"))
    threading.Timer(0.05, lambda: hub.cancel("never asked")).start()
    with pytest.raises(CancelledError):
        next(stream)
    engine.gate.set()
    wait(waiting, 5)
    assert "never asked" not in [request.key for request in engine.asked]


def test_a_stream_fails_with_the_engine(engine: PacedScript, hub: ModelHub) -> None:
    engine.scripted.script = lambda request: str(1 / 0)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        list(hub.stream(_request("a")))


def test_a_job_takes_its_answers_as_they_end(hub: ModelHub) -> None:
    engine = HubEngine(hub, "bulk")
    results = list(engine.answer([_request("a"), _request("b")]))
    assert {_text(result) for result in results} == {"answer to a", "answer to b"}
    assert list(engine.answer([])) == []


def _until(condition: object, seconds: float = 5.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
