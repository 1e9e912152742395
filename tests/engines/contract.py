"""What every engine does: one suite, run over each engine in FACTORIES.

    python -m tests.engines.contract vllm [--model PATH]     # a JSON line for each check

A new engine joins by one line there. Without pytest, so that it runs in the environment of any
engine: tests/engines/test_contract.py runs those that need nothing else,
tests/peers/test_contract.py the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import CANCELLED, RETRY_TEMPERATURES, EngineSpec, ServingEngine
from shenhe.engines.options import (
    DevicesOptions,
    LocalOptions,
    OpenvinoOptions,
    RayOptions,
    ServerOptions,
    VllmOptions,
)
from shenhe.errors import EngineError, ItemError
from shenhe.messages import Answer, Message, Piece, Request, RequestFailed
from shenhe.stages import summary, verdict
from tests.servers.starting import scripted

DEMO = Path(__file__).parent.parent.parent / "src" / "shenhe" / "demo"
MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
PHOTOS = sorted((DEMO / "photos" / MISSION.name).rglob("img-*.jpeg"))[:7]
MAX_PREFETCH = 32
"""Requests that an engine may take before its first result, in batches of 4."""
IDLE_SECONDS = 0.4
"""How long a source has no requests."""
MAX_LENGTH = 20_000
"""Characters of a prompt that the servers and vLLM take here at most."""


@dataclass(frozen=True)
class Subject:
    """An engine, a prompt that it refuses, and a function that kills what it runs on."""

    engine: ServingEngine
    refused: str
    kill: Callable[[], None]


def line_request(key: str, photo: Path, attempt: int = 0) -> Request:
    """Ask for the line of a photo."""
    request = summary.request(key, photo, MISSION, PROMPTS.summary, 64)
    return replace(request, attempt=attempt)


def line_requests() -> list[Request]:
    """Ask for the lines of a few photos."""
    return [line_request(f"k{index}", photo) for index, photo in enumerate(PHOTOS)]


def results_by_key(
    engine: ServingEngine, requests: list[Request]
) -> dict[str, Answer | RequestFailed]:
    """Answer requests; one result for each."""
    results = list(engine.answer(iter(requests)))
    assert sorted(result.key for result in results) == sorted(request.key for request in requests)
    return {result.key: result for result in results}


def texts_by_key(engine: ServingEngine, requests: list[Request]) -> dict[str, str]:
    """Answer requests; an answer for each."""
    results = results_by_key(engine, requests)
    assert all(isinstance(result, Answer) for result in results.values()), results
    return {key: result.text for key, result in results.items() if isinstance(result, Answer)}


def stream_all(engine: ServingEngine, request: Request) -> tuple[list[str], Answer]:
    """Stream an answer to its end."""
    answers: list[Answer] = []

    def pieces() -> Iterator[str]:
        answers.append((yield from engine.stream(request)))

    return list(pieces()), answers[0]


def one_result_per_request(subject: Subject) -> None:
    texts = texts_by_key(subject.engine, line_requests())
    assert all(texts.values())


def no_requests_no_results(subject: Subject) -> None:
    assert list(subject.engine.answer([])) == []


def fingerprint_is_set(subject: Subject) -> None:
    assert subject.engine.fingerprint


def requests_are_taken_as_they_are_needed(subject: Subject) -> None:
    taken = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        while True:
            taken += 1
            yield line_request(str(taken), PHOTOS[0])

    results = subject.engine.answer(endless())
    assert isinstance(next(results), Answer | RequestFailed)
    assert taken <= MAX_PREFETCH
    close(results)


def order_of_requests_changes_no_answer(subject: Subject) -> None:
    requests = line_requests()
    assert texts_by_key(subject.engine, requests) == texts_by_key(subject.engine, requests[::-1])


def attempts_come_back(subject: Subject) -> None:
    (result,) = subject.engine.answer([line_request("a", PHOTOS[0], attempt=2)])
    assert result.attempt == 2


def retries_are_sampled_and_reproducible(subject: Subject) -> None:
    spec: EngineSpec[LocalOptions] = EngineSpec(model="m", engine=LocalOptions())
    attempts = [line_request("a", PHOTOS[0], attempt) for attempt in range(6)]
    expected = [*RETRY_TEMPERATURES, RETRY_TEMPERATURES[-1], RETRY_TEMPERATURES[-1]]
    assert [spec.temperature_of(request) for request in attempts] == expected
    retries = [replace(attempt, key=f"a{attempt.attempt}") for attempt in attempts[:4]]
    assert texts_by_key(subject.engine, retries) == texts_by_key(subject.engine, retries[::-1])


def an_unreadable_photo_fails_alone(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        broken, missing = Path(folder, "broken.jpg"), Path(folder, "missing.jpg")
        broken.write_bytes(b"nothing")
        photos = {"a": PHOTOS[0], "b": broken, "c": PHOTOS[1], "d": missing}
        requests = [line_request(key, photo, attempt=1) for key, photo in photos.items()]
        results = results_by_key(subject.engine, requests)
        codes = {
            key: result.code for key, result in results.items() if isinstance(result, RequestFailed)
        }
        assert codes == {"b": "not_a_photo", "d": "missing"}
        assert {result.attempt for result in results.values()} == {1}
        assert_raises(ItemError, lambda: stream_all(subject.engine, requests[1]))


def a_refused_prompt_fails_alone(subject: Subject) -> None:
    refused = Request("long", (Message("user", (subject.refused,)),), 16)
    results = results_by_key(subject.engine, [refused, *line_requests()[:2]])
    failed = results.pop("long")
    assert isinstance(failed, RequestFailed), failed
    assert failed.code in ("refused", "library_error")
    assert failed.message
    assert all(isinstance(result, Answer) for result in results.values())
    assert_raises(ItemError, lambda: stream_all(subject.engine, refused))


def pieces_join_to_the_answer(subject: Subject) -> None:
    lines = {f"图片_{index}": f"标签/可以识别×{index}" for index in (1, 2)}
    for request in (
        line_request("a", PHOTOS[0]),
        verdict.request("b", lines, MISSION, PROMPTS.verdict),
    ):
        pieces, answer = stream_all(subject.engine, request)
        assert len(pieces) > 1
        assert "".join(pieces) == answer.text
        assert texts_by_key(subject.engine, [request]) == {answer.key: answer.text}


def a_closed_stream_stops(subject: Subject) -> None:
    request = line_request("a", PHOTOS[0])
    expected = texts_by_key(subject.engine, [request])
    stream = subject.engine.stream(request)
    assert next(stream)
    stream.close()
    assert next(stream, None) is None
    assert texts_by_key(subject.engine, [request]) == expected


def requests_may_come_late(subject: Subject) -> None:
    late, results = line_requests()[1:3], dict[str, Answer | RequestFailed]()

    def source() -> Iterator[Request | None]:
        yield line_request("k0", PHOTOS[0])
        while "k0" not in results:
            yield None
        idle_since, busy_since = time.monotonic(), time.process_time()
        while time.monotonic() - idle_since < IDLE_SECONDS:
            yield None
        assert time.process_time() - busy_since < IDLE_SECONDS / 2
        yield from late

    for result in subject.engine.serve(source()):
        assert not isinstance(result, Piece)
        assert result.key not in results
        results[result.key] = result
    expected = texts_by_key(subject.engine, line_requests()[:3])
    assert {key: getattr(result, "text", None) for key, result in results.items()} == expected


def pieces_come_out_of_the_batch(subject: Subject) -> None:
    streamed = [replace(request, streamed=True) for request in line_requests()[:2]]
    pieces, results = dict[str, list[str]](), dict[str, Answer]()
    for result in subject.engine.serve([*streamed, *line_requests()[2:4]]):
        assert result.key not in results
        if isinstance(result, Piece):
            pieces.setdefault(result.key, []).append(result.text)
        else:
            assert isinstance(result, Answer)
            results[result.key] = result
    assert pieces.keys() == {"k0", "k1"}
    assert all(len(texts) > 1 for texts in pieces.values())
    assert {key: "".join(texts) for key, texts in pieces.items()} == {
        key: results[key].text for key in pieces
    }
    expected = texts_by_key(subject.engine, line_requests()[:4])
    assert {key: answer.text for key, answer in results.items()} == expected


def a_cancelled_request_ends(subject: Subject) -> None:
    results = dict[str, Answer | RequestFailed]()

    def source() -> Iterator[Request | None]:
        yield replace(line_request("a", PHOTOS[0]), streamed=True)
        yield line_request("b", PHOTOS[1])
        while "a" not in results:
            yield None
        yield line_request("c", PHOTOS[2])

    for result in subject.engine.serve(source()):
        assert result.key not in results
        if isinstance(result, Piece):
            subject.engine.cancel("a")
        else:
            results[result.key] = result
    assert results.keys() == {"a", "b", "c"}
    assert isinstance(results["b"], Answer)
    assert isinstance(results["c"], Answer)
    # Its end may already be on the way.
    assert isinstance(results["a"], Answer) or results["a"].code == CANCELLED
    assert texts_by_key(subject.engine, [line_request("d", PHOTOS[0])])["d"]


def a_closed_answer_stops(subject: Subject) -> None:
    results = subject.engine.answer(iter(line_requests()))
    next(results)
    close(results)
    assert len(texts_by_key(subject.engine, line_requests())) == len(PHOTOS)


def a_dead_engine_is_an_engine_error(subject: Subject) -> None:
    subject.kill()
    request = line_request("a", PHOTOS[0])
    for _ in range(2):
        assert_raises(EngineError, lambda: stream_all(subject.engine, request))
        assert_raises(EngineError, lambda: list(subject.engine.answer([request])))


def close(results: Iterator[Answer | RequestFailed]) -> None:
    """Stop an engine that answers."""
    assert isinstance(results, Generator)
    results.close()


def assert_raises(kind: type[Exception], call: Callable[[], object]) -> None:
    """Call a function that must raise an error of a kind."""
    try:
        result = call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}, but {result!r}")


CHECKS: dict[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        one_result_per_request,
        no_requests_no_results,
        fingerprint_is_set,
        requests_are_taken_as_they_are_needed,
        order_of_requests_changes_no_answer,
        attempts_come_back,
        retries_are_sampled_and_reproducible,
        an_unreadable_photo_fails_alone,
        a_refused_prompt_fails_alone,
        pieces_join_to_the_answer,
        a_closed_stream_stops,
        a_closed_answer_stops,
        requests_may_come_late,
        pieces_come_out_of_the_batch,
        a_cancelled_request_ends,
        a_dead_engine_is_an_engine_error,  # the last: it leaves nothing behind
    )
}


@contextmanager
def local(model: str) -> Iterator[Subject]:
    """The local engine; it dies of weights that are no numbers."""
    import torch

    from shenhe.engines.local.engine import LocalEngine

    options = LocalOptions(dtype="float32")
    engine = LocalEngine(EngineSpec(model=model, batch_size=4, engine=options))

    def kill() -> None:
        with torch.no_grad():
            for weight in engine._model.parameters():
                weight.fill_(torch.nan)

    yield Subject(engine, "<|image_pad|>", kill)


@contextmanager
def openvino(model: str) -> Iterator[Subject]:
    """The OpenVINO engine; it dies of photos that are no numbers."""
    from shenhe.engines.openvino.engine import OpenvinoEngine

    spec = EngineSpec(model=model, batch_size=4, engine=OpenvinoOptions())
    engine = OpenvinoEngine(spec)

    def kill() -> None:
        engine.forget()
        engine._tower.places._frequencies.fill(float("nan"))

    yield Subject(engine, "<|image_pad|>", kill)


@contextmanager
def server(_: str) -> Iterator[Subject]:
    """The server engine before a real HTTP server, whose process is killed."""
    from shenhe.engines.server import ServerEngine

    with scripted("--max-length", str(MAX_LENGTH)) as served:
        options = ServerOptions(base_url=served.url, server_patience=0.5)
        spec = EngineSpec(model="scripted", batch_size=4, engine=options)
        with closing(ServerEngine(spec)) as engine:
            yield Subject(engine, "长" * 2 * MAX_LENGTH, served.process.kill)


@contextmanager
def llama_cpp(model: str) -> Iterator[Subject]:
    """The server engine before llama.cpp, whose process is killed."""
    from recipes.llama_cpp.convert import convert
    from shenhe.engines.server import ServerEngine
    from tests.servers import llama_cpp as llama

    with tempfile.TemporaryDirectory() as folder:
        convert(model, Path(folder), "f32")
        with llama.llama_cpp(Path(folder), "--slots", "2", "--context", "4096") as served:
            options = ServerOptions(base_url=served.url, server_patience=0.5)
            spec = EngineSpec(model=llama.MODEL, batch_size=4, engine=options)
            with closing(ServerEngine(spec)) as engine:
                yield Subject(engine, "长" * MAX_LENGTH, served.process.kill)


@contextmanager
def vllm(model: str) -> Iterator[Subject]:
    """vLLM in this process; its own processes are killed."""
    import psutil

    from shenhe.engines.vllm import VllmEngine

    options = ("enforce_eager=true", "max_model_len=2048")
    engine_options = VllmOptions(dtype="float32", vllm_options=options)
    engine = VllmEngine(EngineSpec(model=model, batch_size=4, engine=engine_options))

    def kill() -> None:
        children = psutil.Process().children(recursive=True)
        for child in children:
            child.kill()
        psutil.wait_procs(children, timeout=10)

    try:
        yield Subject(engine, "长" * MAX_LENGTH, kill)
    finally:
        engine.close()


@contextmanager
def ray(model: str) -> Iterator[Subject]:
    """One worker of a cluster on this machine; it and all that replace it die."""
    import ray as ray_library

    from shenhe.engines.create import create_engine
    from shenhe.engines.ray import RayEngine

    worker = LocalOptions(dtype="float32", device="cpu")
    options = RayOptions(ray_workers=1, worker=worker)
    engine = RayEngine(EngineSpec(model=model, batch_size=4, engine=options), create_engine)

    def kill() -> None:
        engine._create = _die
        engine.close()

    try:
        yield Subject(engine, "<|image_pad|>", kill)
    finally:
        ray_library.shutdown()


@contextmanager
def devices(model: str) -> Iterator[Subject]:
    """Two workers on the CPU of this machine; they and all that replace them die."""
    from shenhe.engines.create import create_engine_here
    from shenhe.engines.devices import DevicesEngine
    from tests.engines.contract import _die  # by a name that workers can import

    options = DevicesOptions(devices=("cpu,cpu",), worker=LocalOptions(dtype="float32"))
    engine = DevicesEngine(
        EngineSpec(model=model, batch_size=4, engine=options), create_engine_here
    )

    def kill() -> None:
        for worker in engine._workers:
            worker._start = replace(worker._start, create=_die)
            worker.kill()

    with closing(engine):
        yield Subject(engine, "<|image_pad|>", kill)


def _die(spec: object) -> ServingEngine:
    """End the process of a worker."""
    os._exit(1)


FACTORIES: dict[str, Callable[[str], AbstractContextManager[Subject]]] = {
    "local": local,
    "openvino": openvino,
    "server": server,
    "llama.cpp": llama_cpp,
    "vllm": vllm,
    "ray": ray,
    "devices": devices,
}


def main() -> None:
    """Run all checks over one engine, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=FACTORIES)
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    with FACTORIES[options.engine](options.model) as subject:
        for name, check in CHECKS.items():
            try:
                check(subject)
                problem = ""
            except Exception:
                problem = traceback.format_exc()
            print(json.dumps({"check": name, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
