"""Several devices behind one engine: who is asked, who dies, whose fault it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from shenhe.engines.choice import choose_engine
from shenhe.engines.device_names import read_device_names, worker_environment
from shenhe.engines.devices import DevicesEngine
from shenhe.engines.devices.blame import Suspects
from shenhe.engines.options import (
    ClusterOptions,
    DevicesOptions,
    LocalOptions,
    ServerOptions,
    VllmOptions,
)
from shenhe.engines.workers import RequestQueue
from shenhe.errors import AdapterError, EngineError, ItemError, OptionError
from shenhe.messages import Answer, Request, RequestFailed
from tests.engines.contract import stream_all
from tests.engines.device_engines import (
    BATCH_SIZE,
    ask,
    dying,
    over,
    unfit,
    without_the_second,
)
from tests.engines.device_runs import texts_of, write_rows
from tests.interrupts import heed_interrupts

SECONDS = 20.0


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (("0,1,2,3",), ("cuda:0", "cuda:1", "cuda:2", "cuda:3")),
        (("cuda:3", " 07 "), ("cuda:3", "cuda:7")),
        (("０，１",), ("cuda:0", "cuda:1")),
        (("cpu,cpu,0",), ("cpu", "cpu", "cuda:0")),
        (("all",), ("all",)),
        (("npu:1",), ("npu:1",)),
    ],
)
def test_lists_of_devices(written: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert read_device_names(written) == names


@pytest.mark.parametrize(
    "written", ["", "0,", "auto", "all,0", "gpu0", "0 1", "-1", "0x1", "cuda", "cpu:", "99999"]
)
def test_what_is_no_list_of_devices(written: str) -> None:
    with pytest.raises(OptionError, match=r"^--devices.*: write the numbers of GPUs, as 0,1;"):
        read_device_names([written])


@pytest.mark.parametrize("written", ["0,0", "cuda:1,1", "mps,mps"])
def test_a_gpu_has_one_worker(written: str) -> None:
    with pytest.raises(OptionError, match=r"^--devices .* is there twice; one worker fills a GPU"):
        read_device_names([written])


def test_a_worker_sees_its_own_gpu_and_its_share_of_the_cores() -> None:
    assert worker_environment("cuda:2", 4, 16, {"A": "b"}) == {
        "A": "b",
        "CUDA_VISIBLE_DEVICES": "2",
        "OMP_NUM_THREADS": "4",
    }
    visible = {"CUDA_VISIBLE_DEVICES": "5, GPU-7f", "OMP_NUM_THREADS": "3"}
    assert worker_environment("cuda:1", 2, 16, visible) == {
        "CUDA_VISIBLE_DEVICES": "GPU-7f",
        "OMP_NUM_THREADS": "3",
    }
    assert worker_environment("cpu", 3, 2, {}) == {"OMP_NUM_THREADS": "1"}
    with pytest.raises(OptionError, match=r"^--devices 2: CUDA_VISIBLE_DEVICES=5, GPU-7f leaves 2"):
        worker_environment("cuda:2", 2, 16, visible)


@pytest.mark.parametrize(
    ("engine", "device", "message"),
    [
        ("server", "auto", "--devices: goes with --engine local and --engine vllm; the server has"),
        ("ray", "auto", "--devices: goes with --engine local and --engine vllm; Ray chooses"),
        ("local", "cuda:1", "--device: --devices names them all; give one of both"),
    ],
)
def test_who_has_devices(engine: str, device: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        _choose(engine, device, "0,1")
    assert str(caught.value).startswith(message)


def test_the_workers_have_the_options_of_their_engine() -> None:
    vllm = VllmOptions(vllm_options=("max_model_len=64",))
    chosen = _choose("vllm", "auto", "0,1", vllm=vllm)
    assert chosen == DevicesOptions(devices=("0,1",), worker=vllm)
    assert isinstance(_choose("local", "auto"), LocalOptions)


def _choose(engine: str, device: str, *devices: str, vllm: VllmOptions | None = None) -> object:
    url = "http://localhost" if engine == "server" else None
    local, server = LocalOptions(device=device), ServerOptions(base_url=url)
    cluster = ClusterOptions()
    return choose_engine(engine, "local", local, server, vllm or VllmOptions(), cluster, devices)


def test_a_request_is_blamed_only_when_it_was_alone() -> None:
    queue = RequestQueue()
    suspects = Suspects(queue)
    good, bad = ask("good"), ask("bad")
    assert suspects.note_death([good, bad], "SIGKILL") == []
    assert queue.take(5) == [good, bad]
    suspects.note_answer("good")
    assert suspects.note_death([bad, good], "SIGKILL") == []
    assert queue.take(5) == [good]
    assert suspects.next_alone() == bad
    (failed,) = suspects.note_death([bad], "SIGKILL")
    assert (failed.key, failed.code) == ("bad", "engine_crash")
    assert "died 3 times" in failed.message
    assert not suspects


@pytest.fixture(scope="module")
def engine() -> Iterator[DevicesEngine]:
    with closing(over()) as engine:
        yield engine


def _results(engine: DevicesEngine, requests: list[Request]) -> dict[str, Answer | RequestFailed]:
    results = list(engine.answer(requests))
    assert sorted(r.key for r in results) == sorted(r.key for r in requests)
    return {result.key: result for result in results}


def _pids(results: dict[str, Answer | RequestFailed]) -> set[str]:
    return {result.text for result in results.values() if isinstance(result, Answer)}


def test_all_work_and_are_asked_a_few_at_a_time(engine: DevicesEngine) -> None:
    taken = 0

    def source() -> Iterator[Request]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield ask(str(number), "slow")

    pids, answered = [], 0
    for result in engine.answer(source()):
        answered += 1
        assert taken - answered <= 2 * 2 * BATCH_SIZE
        assert isinstance(result, Answer)
        pids.append(result.text)
    assert answered == 40
    assert len(set(pids)) == 2
    assert all(pids.count(pid) >= 10 for pid in set(pids))


def test_few_requests_are_shared_out(engine: DevicesEngine) -> None:
    assert len(_pids(_results(engine, [ask("a"), ask("b")]))) == 2


def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    engine: DevicesEngine, caplog: pytest.LogCaptureFixture
) -> None:
    died = engine.workers_died
    requests = [ask(str(number), "slow") for number in range(60)]
    results: dict[str, Answer | RequestFailed] = {}
    for result in engine.answer(requests):
        assert result.key not in results
        assert isinstance(result, Answer)
        results[result.key] = result
        if len(results) == 10:
            os.kill(int(result.text), signal.SIGKILL)
    assert len(results) == 60
    assert engine.workers_died == died + 1
    assert "cpu: the worker died (killed by SIGKILL)" in caplog.text
    assert _come_true(lambda: len(_pids(_results(engine, requests))) == 2)


@pytest.mark.parametrize("command", ["kill", "crash", "memory"])
def test_what_kills_every_worker_fails_alone(engine: DevicesEngine, command: str) -> None:
    requests = [ask(str(number)) for number in range(9)]
    requests.insert(4, ask("bad", command))
    results = _results(engine, requests)
    bad = results.pop("bad")
    assert isinstance(bad, RequestFailed)
    assert bad.code == "engine_crash"
    expected = {
        "kill": "SIGKILL",
        "crash": "Fatal Python error: Aborted",
        "memory": "out of memory",
    }
    assert expected[command] in bad.message
    assert all(isinstance(result, Answer) for result in results.values())


def test_what_kills_once_is_answered(engine: DevicesEngine, tmp_path: Path) -> None:
    requests = [ask("a"), ask("b", f"once memory {tmp_path / 'marker'}"), ask("c")]
    assert all(isinstance(result, Answer) for result in _results(engine, requests).values())


def test_what_no_other_worker_could_do_either_ends_the_call(engine: DevicesEngine) -> None:
    died = engine.workers_died
    with pytest.raises(EngineError, match=r"^--devices cpu: the model's scores are no numbers$"):
        list(engine.answer([ask("a", "broken"), ask("b")]))
    assert engine.workers_died == died
    assert len(_results(engine, [ask("a"), ask("b")])) == 2


def test_one_worker_streams(engine: DevicesEngine) -> None:
    stream = engine.stream(ask("a"))
    assert next(stream)
    stream.close()
    pieces, answer = stream_all(engine, ask("a"))
    assert "".join(pieces) == answer.text
    with pytest.raises(ItemError, match=r"process died 3 times .* killed by SIGKILL"):
        list(engine.stream(ask("a", "kill")))
    assert len(list(engine.stream(ask("a")))) == 2


def test_a_warning_of_all_workers_is_given_once(engine: DevicesEngine) -> None:
    with pytest.warns(UserWarning, match="an adapter without effect") as caught:
        _results(engine, [ask(str(number), "warn") for number in range(8)])
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("devices", "create", "error", "message"),
    [
        ("cpu,9", without_the_second, OptionError, r"^--devices cuda:9: not to be had"),
        ("cpu,cpu", unfit, AdapterError, r"^--devices cpu: lora: does not fit the base$"),
        (
            *("cpu", dying, EngineError),
            r"^--devices cpu: the worker died while it loaded the model: exit code 3:"
            r" torch.OutOfMemoryError: CUDA out of memory$",
        ),
    ],
)
def test_a_start_that_fails_is_told_before_any_work(
    devices: str, create: object, error: type[Exception], message: str
) -> None:
    children = psutil.Process().children()
    with pytest.raises(error, match=message):
        over(devices, create)
    assert psutil.Process().children() == children


def test_no_worker_is_left() -> None:
    with closing(over("cpu")) as engine:
        (worker,) = engine._workers
        object.__setattr__(worker._start, "create", dying)
        message = (
            r"^no worker is left: cpu: exit code 3: torch.OutOfMemoryError: CUDA out of memory$"
        )
        for _ in range(2):
            with pytest.raises(EngineError, match=message):
                list(engine.answer([ask("a", "kill"), ask("b", "kill")]))
        assert engine.workers_died == 3


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent(end: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.engines.device_runs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(end)
        assert parent.wait(SECONDS) != 0
    assert _come_true(lambda: not any(map(_is_running, pids)))


def test_a_killed_run_goes_on_where_it_was(engine: DevicesEngine, tmp_path: Path) -> None:
    """Rows are whole, each once; the manifest names the devices and counts the deaths."""
    rows = tmp_path / "languages.jsonl"
    command = [sys.executable, "-m", "tests.engines.device_runs", str(rows)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert _come_true(lambda: rows.exists() and rows.read_bytes().count(b"\n") > 40)
    first.kill()
    first.wait()
    before = rows.read_bytes().rpartition(b"\n")[0].splitlines()
    assert len(before) < len(texts_of(rows))
    (tmp_path / "go").touch()
    write_rows(engine, rows)
    written = rows.read_bytes().splitlines()
    assert written[: len(before)] == before
    names = sorted(json.loads(row)["group_id"] for row in written)
    assert names == sorted(texts_of(rows))
    session = json.loads(rows.with_suffix(".manifest.json").read_text())["this_session"]
    assert (session["devices"], session["workers_died"]) == (["cpu", "cpu"], 1)
    assert not rows.with_suffix(".failures.jsonl").read_text()


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _come_true(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not condition():
        time.sleep(0.05)
    return condition()
