"""The contract of engines, over vLLM and Ray, each in its own environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shenhe.checkpoints.inspect import DEMO_FOLDER
from tests.engines.contract import CHECKS
from tests.peers.environments import BESIDE_VLLM, RAY, ROOT, VLLM, environment, installed_beside
from tests.peers.real_ids import add_video

pytestmark = pytest.mark.peers
Problems = dict[str, str]


@pytest.fixture(scope="module", params=["vllm", "ray"])
def problems(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Problems:
    """The problem of each check, empty where it holds."""
    python, paths, model = Path(sys.executable), [ROOT / "src", ROOT], "demo"
    if request.param == "vllm":
        python = environment("vllm", VLLM, BESIDE_VLLM)
        base = tmp_path_factory.mktemp("base") / "base"
        model = str(add_video(Path(shutil.copytree(DEMO_FOLDER / "base", base))))
    else:
        paths.append(installed_beside("ray", RAY))
    command = [str(python), "-m", "tests.engines.contract", request.param, "--model", model]
    environ = os.environ | {"PYTHONPATH": ":".join(map(str, paths)), "VLLM_CPU_KVCACHE_SPACE": "1"}
    environ |= {"VLLM_LOGGING_LEVEL": "ERROR", "RAY_DISABLE_IMPORT_WARNING": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"check"')]
    assert lines, run.stderr[-3000:]
    return {line["check"]: line["problem"] for line in lines}


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: str, problems: Problems) -> None:
    assert problems[check] == ""
