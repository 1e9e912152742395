"""scripts/stage_a_infer.sh: options and variables as older launchers take them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import DEMO, MISSION
from tests.warm import SHENHE

SCRIPT = Path(__file__).parent.parent / "scripts" / "stage_a_infer.sh"
WHOLE = ["checkpoint=c", "input_dir=d", "mission=m", "output_dir=o"]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def _launch(
    path: Path, words: Sequence[str] = (), variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script with a `shenhe` from a folder first in the path."""
    plain = {name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ}
    environment = plain | {"PATH": f"{path}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["bash", SCRIPT, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment | (variables or {}),
    )


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A folder with a `shenhe` that prints what it is called with, a word a line."""
    command = tmp_path / "bin" / "shenhe"
    command.parent.mkdir()
    command.write_text(
        '#!/bin/sh\necho "gpu=$CUDA_VISIBLE_DEVICES"\nprintf "%s\\n" "$@"\n', encoding="utf-8"
    )
    command.chmod(0o755)
    return command.parent


def _words(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_launch_of_older_form_does_what_options_do(tmp_path: Path) -> None:
    command = tmp_path / "shenhe"
    command.write_text(f'#!/bin/sh\nexec {" ".join(SHENHE)} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    variables = {
        "checkpoint": "demo",
        "input_dir": str(DEMO / "photos"),
        "mission": MISSION,
        "output_dir": str(tmp_path / "out"),
        "gpu": "0",
        "batch_size": "16",
        "pass_group_number": "2",
        "fail_group_number": "1",
    }
    done = _launch(tmp_path, ["--dry-run"], variables)
    assert f"{MISSION}: would do 3 groups" in done.stdout, done.stderr
    assert "1 of 3 failed" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("upper", [False, True])
def test_variables_of_the_environment(told: Path, upper: bool) -> None:
    names = ("model", "data_root", "mission", "output_dir", "batch_size")
    values = dict(zip(names, ("a b", "d", "挡风板安装检查", "o", "16"), strict=True))
    if upper:
        values = {name.upper(): value for name, value in values.items()}
    assert _words(_launch(told, ["--limit", "5"], values)) == [
        *("gpu=", "summarize", "--model", "a b", "--data-root", "d"),
        *("--mission", "挡风板安装检查", "--output-dir", "o", "--batch-size", "16"),
        *("--limit", "5"),
    ]


def test_options_win_over_variables(told: Path) -> None:
    variables = {"MODEL": "upper", "model": "lower", "seed": "1", "batch_size": "2"}
    behind = ["seed=3", "input_dir=d", "mission=a=b", "output_dir=o", "cuda=0,1"]
    done = _launch(told, [*behind, "--batch_size=9", "--data_root", "x=y"], variables)
    assert _words(done) == [
        *("gpu=", "summarize", "--model", "lower", "--mission", "a=b", "--output-dir", "o"),
        *("--seed", "3", "--devices", "0,1", "--batch_size=9", "--data_root", "x=y"),
    ]


@pytest.mark.parametrize(
    ("words", "gpu", "options"),
    [
        (["gpu=cpu"], "", ["--device", "cpu"]),
        (["device=cuda:3"], "3", []),
        (["gpus=0", "--device", "cpu"], "", ["--device", "cpu"]),
        (
            ["gpus=0,1,2,3", "rep_penalty=1.05"],
            "",
            ["--repetition-penalty", "1.05", "--devices", "0,1,2,3"],
        ),
        (["gpus=0,1", "--devices", "2,3"], "", ["--devices", "2,3"]),
        (["verify_inputs=true", "sharding_mode=per_group", "debug=true"], "", ["--debug"]),
        (
            ["pass_group_number=200", "fail_group_number=050", "sample_seed=42"],
            "",
            ["--seed", "42", "--sample", "250", "--sample-failed", "50"],
        ),
    ],
)
def test_what_variables_stand_for(
    told: Path, words: list[str], gpu: str, options: list[str]
) -> None:
    first, *passed_on = _words(_launch(told, [*WHOLE, *words]))
    assert first == f"gpu={gpu}"
    assert passed_on[9:] == options


def test_the_folder_of_a_mission_means_the_one_above_it(told: Path) -> None:
    words = [
        "checkpoint=c",
        "input_dir=/a/挡风板安装检查/",
        "mission=挡风板安装检查",
        "output_dir=o",
    ]
    assert _words(_launch(told, words))[4:6] == ["--data-root", "/a"]


def test_a_variable_without_a_meaning_is_named(told: Path) -> None:
    done = _launch(told, [*WHOLE, "no_mission=true", "postprocess=false"])
    assert done.stderr == "stage_a_infer.sh: warning: no_mission does nothing here\n"
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "missing: --model --data-root --mission --output-dir (or variables: checkpoint=,"),
        ([*WHOLE[:3], "--output=o"], "missing: --output-dir"),
        ([*WHOLE, "misson=m"], "unknown variable misson; known: checkpoint model"),
        ([*WHOLE, "model=other"], "model=other and c stand for one thing: give one of them"),
        ([*WHOLE, "postprocess=true"], "postprocess=true is not done here: leave it out"),
        ([*WHOLE, "gpu=first"], "gpu=first is no number of a GPU"),
        ([*WHOLE, "pass_group_number=5"], "are two whole numbers, or neither is given"),
    ],
)
def test_a_launch_that_cannot_be_is_one_line(told: Path, words: list[str], problem: str) -> None:
    done = _launch(told, words)
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.startswith("stage_a_infer.sh: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
