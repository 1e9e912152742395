"""An error of a library for a checkpoint ends the command with one line and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors
import transformers

from shenhe.cli.main import exit_code
from tests.faults.injection import NEVER, PANIC, Fault, name_of

ERRORS = (
    safetensors.SafetensorError("Error while deserializing header: HeaderTooLarge"),
    OSError(5, "Input/output error"),
    MemoryError(),
    RuntimeError("size mismatch"),
    PANIC,
    *NEVER,
)


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (transformers.modeling_utils, "safe_open"),
        (transformers.AutoTokenizer, "from_pretrained"),
    ],
    ids=name_of,
)
def test_one_line_and_nothing_written(
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: Any,
    name: str,
    error: BaseException,
) -> None:
    fault = Fault(owner, name, error)
    fault.inject(monkeypatch)
    arguments = ["run", "--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    code = exit_code([*arguments, "--data-root", str(tree), "--output-dir", str(tmp_path / "out")])
    lines = capsys.readouterr().err.splitlines()
    assert fault.raised
    assert code == 2
    assert len([line for line in lines if line.startswith("shenhe: ")]) == 1, lines
    assert not any("Traceback" in line for line in lines)
    assert not list(tmp_path.glob("out/**/*.jsonl"))
