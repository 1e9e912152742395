"""How far a run is: while it is written, when it was killed, and when it has ended."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from shenhe.errors import RunError
from shenhe.rows.status import read_status
from tests.servers.starting import scripted
from tests.warm import COLD, SHENHE

MISSION = "挡风板安装检查"
GROUPS = 100


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    for number in range(GROUPS):
        folder = tmp_path / "tree" / MISSION / "审核通过" / f"QC-{number:05d}"
        folder.mkdir(parents=True)
        Image.new("RGB", (64, 64), (number % 256, 0, 0)).save(folder / "a.png")
    return tmp_path / "tree"


def _start(
    tree: Path, out: Path, url: str, *options: str, shenhe: Iterable[str] = SHENHE
) -> subprocess.Popen[str]:
    command = [*shenhe, "run", "--model", "scripted", "--data-root"]
    command += [
        str(tree),
        "--output-dir",
        str(out),
        "--engine",
        "server",
        "--base-url",
        url,
        *options,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _status(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*SHENHE, "status", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_running_killed_ended(groups: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with scripted("--delay", "0.2") as server:
        run = _start(groups, out, server.url, "--batch-size", "4", shenhe=COLD)
        for _ in range(300):
            time.sleep(0.1)
            found = read_status(out) if list(out.rglob("*.manifest.json")) else []
            if found and found[0].done:
                break
        (running,) = found
        assert running.stage == "summarize"
        assert running.name == f"stage_a/{MISSION}"
        assert (running.state, running.total) == ("running", GROUPS)
        assert 0 < running.done < GROUPS
        assert running.per_second > 0
        assert running.left_seconds is not None
        run.kill()
        run.communicate()
        assert read_status(out)[0].state == "killed"
        told = _status(out)
        assert told.returncode == 1
        assert "killed" in told.stdout
    with scripted() as server:
        run = _start(groups, out, server.url)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    ended = _status(out, "--json")
    assert ended.returncode == 0
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(r["stage"], r["state"], r["done"], r["total"]) for r in rows] == [
        ("summarize", "ended", GROUPS, GROUPS),
        ("judge", "ended", GROUPS, GROUPS),
    ]


def test_nothing_there(tmp_path: Path) -> None:
    told = _status(tmp_path)
    assert told.returncode == 2
    assert "no manifest there" in told.stderr


def test_a_manifest_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.manifest.json").write_text("[]")
    with pytest.raises(RunError, match="no manifest of shenhe's"):
        read_status(tmp_path)


@pytest.mark.parametrize("faults", ["no such folder", {"a": 1}])
def test_faults_of_another_form_hide_no_counts(faults: object, tmp_path: Path) -> None:
    content = {
        "state": "ended",
        "options": {"stage": "judge"},
        "total": 2,
        "counts": {"done": 2, "failed": 0, "undecided": 0},
        "faults": faults,
        "this_session": {"seconds": 1.0, "items": 2, "pid": 0, "ended": "2026-01-01T00:00:00Z"},
    }
    (tmp_path / "a.manifest.json").write_text(json.dumps(content))
    (status,) = read_status(tmp_path)
    assert (status.done, status.faults) == (2, (str(faults),))
