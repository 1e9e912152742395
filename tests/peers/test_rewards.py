"""The rewards as ms-swift finds them: its own import of a plugin, and its own way of calling."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.peers.environments import MS_SWIFT, ROOT, environment

ASK = """
import json, sys
from swift.utils import import_external_file
import_external_file(sys.argv[1])
from swift.rewards import orms
found = {}
for name in sys.argv[2:]:
    reward = orms[name](args=None)
    texts = ["通过\\n理由: 图片_1中BBU安装螺丝符合要求", "通过"]
    lines = [["螺丝、光纤插头/BBU安装螺丝/显示完整/符合要求×1"]] * 2
    found[type(reward).__name__] = reward(
        completions=texts, label=["fail", "pass"], lines=lines, solution=[None, None]
    )
print(json.dumps(found))
"""


@pytest.mark.peers
def test_ms_swift_takes_the_rewards_as_its_own() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "shenhe.rewards.swift_plugin"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = ["shenhe_verdict_format", "shenhe_verdict_right", "shenhe_reason_grounded"]
    asked = subprocess.run(
        [environment("ms-swift", MS_SWIFT), "-c", ASK, told.stdout.strip(), *names],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout.splitlines()[-1]) == {
        "verdict_format": [1.0, 0.0],
        "verdict_right": [-1.0, 0.0],
        "reason_grounded": [1.0, 0.0],
    }
