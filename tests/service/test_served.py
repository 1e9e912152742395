"""The service itself, as a process: from photos to a verdict, keys, signals, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from shenhe.cli.main import exit_code
from tests.conftest import DEMO, MISSION
from tests.servers.starting import scripted
from tests.service.apis import multipart
from tests.warm import COLD, SHENHE

GROUP = sorted((DEMO / "photos" / MISSION).rglob("img-001*"))[0].parent


class Served(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def submit(self, group_id: str, photos: list[Path], query: str = "") -> tuple[int, Any]:
        parts = [('name="mission"', MISSION.encode()), ('name="group_id"', group_id.encode())]
        parts += [(f'name="photos"; filename="{p.name}"', p.read_bytes()) for p in photos]
        kind = "multipart/form-data; boundary=x"
        return self.ask(f"/v1/groups{query}", multipart(*parts), Content_Type=kind)


@contextmanager
def serving(
    data: Path, *options: str, shenhe: Iterable[str] = SHENHE, **environment: str
) -> Iterator[Served]:
    """Run `shenhe serve` on a free port; with COLD it is a process that can be killed."""
    command = [*shenhe, "serve", "--data", str(data), "--port", "0", *options]
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("service: http://"), process.communicate()[1]
        try:
            yield Served(line.removeprefix("service: ").strip().rstrip("/"), process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def engine() -> Iterator[tuple[str, ...]]:
    """Options of a model that answers at once."""
    with scripted("--form", "structured_outputs") as server:
        yield "--engine", "server", "--base-url", server.url, "--model", "scripted"


def test_photos_come_in_and_verdicts_go_out_also_after_kill_9(
    tmp_path: Path, engine: tuple[str, ...]
) -> None:
    photos = sorted(GROUP.iterdir())
    with serving(tmp_path, "--role", "api", shenhe=COLD) as served:
        accepted = [served.submit(f"QC-{n}", photos[n : n + 1])[1] for n in range(3)]
        assert {job["state"] for job in accepted} == {"queued"}
        served.process.kill()
    with serving(tmp_path, *engine) as served:
        for job in accepted:
            status, shown = served.ask(f"{job['url']}?wait=30")
            assert (status, shown["state"], shown["group_id"]) == (200, "done", job["group_id"])
        status, shown = served.submit("QC-3", photos, "?wait=60")
        assert (status, shown["state"]) == (200, "done")
        assert len(shown["per_image"]) == len(photos)
        assert shown["verdict"] in ("通过", "不通过", None)
        assert served.ask("/readyz") == (200, {"status": "ready", "missing": {}})
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
    for stage in ("stage_a", "stage_b"):
        lines = (tmp_path / stage / f"{MISSION}.jsonl").read_text("utf-8").splitlines()
        groups = sorted(json.loads(line)["group_id"] for line in lines)
        assert groups == ["QC-0", "QC-1", "QC-2", "QC-3"]


def test_elsewhere_than_on_loopback_it_needs_a_key(tmp_path: Path) -> None:
    command = [*SHENHE, "serve", "--data", str(tmp_path), "--role", "api", "--host", "0.0.0.0"]
    env = {name: value for name, value in os.environ.items() if name != "SHENHE_API_KEY"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (run.returncode, run.stdout) == (2, "")
    assert "SHENHE_API_KEY" in run.stderr
    options = ("--role", "api", "--host", "0.0.0.0")
    with serving(tmp_path, *options, SHENHE_API_KEY="geheim-77aa") as served:
        port = served.url.rpartition(":")[2]
        other = served._replace(url=f"http://127.0.0.1:{port}")
        assert other.ask("/v1/groups")[0] == 401
        assert other.ask("/v1/groups", Authorization="Bearer geheim-77aa")[0] == 200
        assert other.ask("/v1/groups", Host="shenhe.example", X_API_Key="geheim-77aa")[0] == 200


def test_the_key_of_the_service_goes_to_no_other_server(tmp_path: Path) -> None:
    heard: list[str | None] = []

    class Model(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/v1"
        options = ["--engine", "server", "--base-url", address, "--model", "m", "--port", "0"]
        command = [*SHENHE, "serve", "--data", str(tmp_path), *options]
        env = os.environ | {"SHENHE_API_KEY": "geheim-77aa", "OPENAI_API_KEY": "theirs-11bb"}
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        server.shutdown()
    assert run.returncode == 2, run.stderr
    assert set(heard) == {"Bearer theirs-11bb"}


def test_keys_are_made_and_removed_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        return exit_code(["serve", "--data", str(tmp_path), *words])

    assert run("--add-key", "工单系统", "--scopes", "submit,read", "--key-rate", "600") == 0
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("shk_")
    assert run("--list-keys") == 0
    listed = capsys.readouterr().out
    assert "工单系统" in listed
    assert "submit, read" in listed
    assert secret not in listed
    assert [run("--remove-key", "工单系统"), run("--remove-key", "工单系统")] == [0, 2]
    assert run("--add-key", "x", "--list-keys") == 2
    capsys.readouterr()
    assert run("--add-key", "x", "--scopes", "everything") == 2
    assert "submit, read, admin" in capsys.readouterr().err


def test_memory_is_flat_whatever_is_sent(tmp_path: Path) -> None:
    body = multipart(
        ('name="photos"; filename="1.jpg"', GROUP.joinpath("img-001.jpeg").read_bytes())
    )
    options = ("--role", "api", "--max-group-size", "200MB")
    with serving(tmp_path, *options, shenhe=COLD) as served:
        kind = "multipart/form-data; boundary=x"
        served.ask("/v1/groups", body, Content_Type=kind)
        memory = psutil.Process(served.process.pid)
        before = memory.memory_info().rss
        head = body[: body.index(b"\xff\xd8")]
        sent = head + b"\xff\xd8\xff" + bytes(39_000_000)
        for _ in range(3):
            status, _ = served.ask("/v1/groups", sent, Content_Type=kind)
            assert status == 400
        assert memory.memory_info().rss - before < 30_000_000


def test_whoever_waits_is_answered_before_the_service_ends(tmp_path: Path) -> None:
    photos = sorted(GROUP.iterdir())[:1]
    with serving(tmp_path, "--role", "api") as served, ThreadPoolExecutor() as threads:
        answer = threads.submit(served.submit, "QC-1", photos, "?wait=60")
        until = time.monotonic() + 20
        while not served.ask("/v1/groups")[1]["groups"] and time.monotonic() < until:
            time.sleep(0.05)
        served.process.send_signal(signal.SIGTERM)
        status, shown = answer.result(20)
        assert (status, shown["state"]) == (202, "queued")
        assert served.process.wait(20) == 0
        assert served.process.stderr is not None
        assert "Traceback" not in served.process.stderr.read()
