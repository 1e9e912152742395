"""Whole runs against servers: a real one with the bundled model, and one that fails at random."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from shenhe.checkpoints.merge import merge_adapters
from tests.peers.real_ids import add_video
from tests.runs.reading import said
from tests.servers.starting import free_port, scripted
from tests.servers.transformers_serve import transformers_serve
from tests.warm import SHENHE

MISSION = "挡风板安装检查"
GROUPS = 150


def _run(tree: Path, out: Path, model: str, *arguments: str) -> subprocess.Popen[str]:
    command = [*SHENHE, "run", "--model", model, "--data-root", str(tree)]
    command += ["--output-dir", str(out), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def many_groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("many")
    for number in range(GROUPS):
        folder = tree / MISSION / "审核通过" / f"QC-{number:05d}"
        folder.mkdir(parents=True)
        Image.new("RGB", (64, 64), (number % 256, number // 256, 9)).save(folder / "a.png")
    return tree


def test_a_real_server_gives_the_same_rows_as_the_local_engine(tree: Path, tmp_path: Path) -> None:
    model = tmp_path / "merged"
    merge_adapters("demo", ["demo"], model, dtype="float32")
    add_video(model)
    mission = ("--mission", "BBU线缆布放要求")  # with a HEIC photo, and one that cannot be read
    local = _run(tree, tmp_path / "local", str(model), *mission)
    with transformers_serve(model) as url:
        served = _run(tree, tmp_path / "served", str(model), *mission, *_at(url))
        _, err = served.communicate(timeout=500)
    assert served.returncode == 1, err
    local.communicate(timeout=500)
    assert said(tmp_path / "served") == said(tmp_path / "local")
    assert len(said(tmp_path / "served")) == 11
    assert "Traceback" not in err


def test_a_server_that_fails_three_times_in_ten_loses_nothing(
    many_groups: Path, tmp_path: Path
) -> None:
    with scripted() as server:
        quiet = _run(many_groups, tmp_path / "quiet", "scripted", *_at(server.url))
        quiet.communicate(timeout=300)
    with scripted("--faults", "0.3", "--stall", "1") as server:
        run = _run(
            many_groups,
            tmp_path / "noisy",
            "scripted",
            *_at(server.url),
            *("--request-timeout", "0.5"),
        )
        _, err = run.communicate(timeout=500)
        counts = server.get("counts")
    assert run.returncode == 0, err
    assert "Traceback" not in err
    assert said(tmp_path / "noisy") == said(tmp_path / "quiet")
    assert len(said(tmp_path / "noisy")) == 2 * GROUPS
    assert counts["asked"] > 1.2 * counts["answered"] >= 2 * GROUPS


def test_a_server_that_dies_and_returns(many_groups: Path, tmp_path: Path) -> None:
    port = free_port()
    out = tmp_path / "out"
    rows = out / "stage_a" / f"{MISSION}.jsonl"
    with scripted("--port", str(port), "--delay", "0.05") as server:
        run = _run(many_groups, out, "scripted", *_at(server.url), "--limit", "100")
        while not rows.exists() or rows.stat().st_size < 20_000:
            time.sleep(0.05)
            assert run.poll() is None
        server.process.kill()
    time.sleep(3)
    assert run.poll() is None
    with scripted("--port", str(port)):
        _, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert "is gone" in err
    assert "is back after" in err
    assert len(said(out)) == 200


def _at(url: str) -> tuple[str, ...]:
    return ("--engine", "server", "--base-url", url)
