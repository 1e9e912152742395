"""A Ray cluster of three nodes: a node and two workers are killed, or the driver: same rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shenhe.rows.manifest import manifest_file, read_manifest
from tests.peers.environments import RAY, ROOT, installed_beside
from tests.runs.reading import said
from tests.servers.starting import free_port, scripted
from tests.test_examples import entrypoint

pytestmark = pytest.mark.peers
MISSION = "挡风板安装检查"
COPIES = 40
Tell = Callable[[str], str]


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many groups, of the demo's photos."""
    tree = tmp_path_factory.mktemp("tree")
    photos = ROOT / "src" / "shenhe" / "demo" / "photos" / MISSION
    for copy in range(COPIES):
        for group in filter(Path.is_dir, photos.glob("审核*/*")):
            folder = tree / MISSION / group.parent.name / f"{group.name}-{copy}"
            shutil.copytree(group, folder)
    return tree


@pytest.fixture(scope="module")
def quiet(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quiet")
    run = _start(groups, out)
    _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err
    return out


def test_a_node_and_two_workers_are_killed(groups: Path, quiet: Path, tmp_path: Path) -> None:
    with _cluster() as (address, tell):
        run = _start(groups, tmp_path, *_over(address))
        _wait_for_rows(run, tmp_path, 10)
        assert tell("worker") == "1 worker less"
        assert tell("node") == "one node less"
        _wait_for_rows(run, tmp_path, 40)
        assert tell("worker") == "1 worker less"
        _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err[-3000:]
    assert "a worker died" in err
    assert said(tmp_path) == said(quiet)


def test_the_driver_is_killed_and_goes_on(groups: Path, quiet: Path, tmp_path: Path) -> None:
    with _cluster() as (address, _):
        run = _start(groups, tmp_path, *_over(address))
        _wait_for_rows(run, tmp_path, 30)
        run.kill()
        run.communicate()
        before = len(said(tmp_path))
        run = _start(groups, tmp_path, *_over(address))
        _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err[-3000:]
    assert f"{before} of them before" in err
    assert said(tmp_path) == said(quiet)


def test_the_command_of_the_kubernetes_job_runs(groups: Path, quiet: Path, tmp_path: Path) -> None:
    paths = {"/data/merged": "demo", "/data/photos": str(groups), "/data/out": str(tmp_path)}
    words = [paths.get(word, word.replace("/data", str(tmp_path))) for word in entrypoint()[1:]]
    words += ["--adapters", "demo", "--dtype", "float32", "--device", "cpu", "--limit", "40"]
    with _cluster() as (address, _):
        environ = _environ() | {"RAY_ADDRESS": address}
        command = [sys.executable, "-m", "shenhe", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = said(quiet)
    rows = {key: row for key, row in said(tmp_path).items() if key[0].startswith("stage_a")}
    assert len(rows) == 40
    assert all(expected[key] == row for key, row in rows.items())


def test_the_slurm_job_runs(groups: Path, quiet: Path, tmp_path: Path) -> None:
    """On two nodes that are this machine: what Slurm has is played by two small scripts."""
    tools = tmp_path / "tools"
    tools.mkdir()
    srun = 'while [[ "$1" == --* ]]; do shift; done; exec "$@"'
    ray = f'exec {sys.executable} -m ray.scripts.scripts "$@"'
    shenhe = f'exec {sys.executable} -m shenhe "$@"'
    scontrol = "echo 127.0.0.1; echo 127.0.0.1"
    for name, text in {"srun": srun, "ray": ray, "shenhe": shenhe, "scontrol": scontrol}.items():
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    out = tmp_path / "out"
    command = ["bash", str(ROOT / "examples" / "slurm.sh"), "--model", "demo", "--adapters", "demo"]
    command += ["--dtype", "float32", "--device", "cpu", "--data-root", str(groups)]
    command += ["--output-dir", str(out), "--limit", "40"]
    environ = _environ() | {"SLURM_JOB_NODELIST": "two", "RAY_PORT": str(free_port())}
    environ["PATH"] = f"{tools}:{environ['PATH']}"
    environ["HOME"] = str(tmp_path)
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {key: row for key, row in said(out).items() if key[0].startswith("stage_a")}
    assert len(rows) == 40
    assert all(said(quiet)[key] == row for key, row in rows.items())


def test_what_is_wrong_with_the_model_is_said_once(groups: Path, tmp_path: Path) -> None:
    run = _start(groups, tmp_path, "--engine", "ray", "--model", "no-such-folder")
    _, err = run.communicate(timeout=300)
    assert run.returncode == 2
    assert err.splitlines()[-1].endswith("--model no-such-folder: no such folder")


def test_workers_that_ask_a_server_know_its_checkpoint(groups: Path, tmp_path: Path) -> None:
    """The driver says what no worker can: one line of a guess, and the budget in the manifest."""
    rows = tmp_path / "c.jsonl"
    photos = sorted((groups / MISSION).rglob("img-001*"))[:4]
    command = [sys.executable, "-m", "shenhe", "caption", *map(str, photos), "--output", str(rows)]
    command += [
        "--engine",
        "ray",
        "--ray-engine",
        "server",
        "--ray-workers",
        "1",
        "--model",
        "scripted",
    ]
    guess = "does not tell which size of photos"
    with scripted() as server:
        command += ["--base-url", server.url, "--restart"]
        for processor, bounds in (((), [65536, 1003520]), (("--processor", "demo"), [4096, 81920])):
            done = subprocess.run(
                [*command, *processor], capture_output=True, text=True, env=_environ(), check=False
            )
            assert done.stderr.count(guess) == (not processor), done.stderr
            options = read_manifest(manifest_file(rows)).options
            assert options["pixel_budget"] == bounds


@contextmanager
def _cluster() -> Iterator[tuple[str, Tell]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.peers.ray_nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environ(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    commands, replies = process.stdin, process.stdout

    def tell(command: str) -> str:
        print(command, file=commands, flush=True)
        return replies.readline().strip()

    try:
        yield replies.readline().strip(), tell
    finally:
        commands.close()
        process.wait(60)
        replies.close()


def _over(address: str) -> tuple[str, ...]:
    return ("--engine", "ray", "--ray-address", address, "--ray-workers", "3")


def _start(groups: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "shenhe", "summarize", "--model", "demo", "--adapters", "demo"]
    command += ["--dtype", "float32", "--device", "cpu", "--data-root", str(groups)]
    command += ["--mission", MISSION, "--output-dir", str(out / "stage_a"), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_environ()
    )


def _environ() -> dict[str, str]:
    beside = installed_beside("ray", RAY)
    return os.environ | {"PYTHONPATH": f"{ROOT}:{beside}", "RAY_DISABLE_IMPORT_WARNING": "1"}


def _wait_for_rows(run: subprocess.Popen[str], out: Path, count: int) -> None:
    rows = out / "stage_a" / f"{MISSION}.jsonl"
    for _ in range(3000):
        if rows.exists() and rows.read_text(encoding="utf-8").count("\n") >= count:
            return
        assert run.poll() is None
        time.sleep(0.1)
    raise AssertionError(f"fewer than {count} rows")
