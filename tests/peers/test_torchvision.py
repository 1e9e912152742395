"""With torchvision installed the same photos get the same answers, to the letter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DEMO

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parent.parent.parent
# torchvision needs a torch of its own build: not the one of constraints.txt.
INSTALLED = ["torch==2.14.1", "torchvision==0.29.1", "transformers==5.24.0", "peft==0.21.2"]


def _raw(python: Path | str, output: Path) -> dict[str, list[str]]:
    command = [str(python), "-m", "shenhe", "run", "--model", "demo", "--adapters", "demo"]
    command += ["--dtype", "float32", "--data-root", str(DEMO / "photos")]
    done = subprocess.run(
        [*command, "--output-dir", str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # one photo of the demo's is damaged
    return {
        f"{row['label']}/{row['group_id']}": sorted(
            a["raw"] for a in row["meta"]["answers"].values()
        )
        for path in sorted(output.glob("stage_a/*[!s].jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    }


def test_the_same_answers_with_torchvision(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *INSTALLED, str(ROOT)], check=True)
    with_torchvision = _raw(python, tmp_path / "with")
    assert with_torchvision == _raw(sys.executable, tmp_path / "without")
    assert len(with_torchvision) == 23
