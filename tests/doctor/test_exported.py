"""An export for OpenVINO that a copy brought only in part is told before it is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.config import load_missions, load_prompts
from shenhe.doctor import Subject
from shenhe.doctor.exported import check_export
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import OpenvinoOptions


def _look(folder: Path) -> list[tuple[str, str]]:
    spec = EngineSpec(model=str(folder), engine=OpenvinoOptions())
    subject = Subject(spec, load_prompts(), load_missions(), (), 2048, load=False)
    return [(finding.level, finding.message) for finding in check_export(subject)]


@pytest.mark.parametrize("name", ["openvino_language_model", "openvino_text_embeddings_model"])
@pytest.mark.parametrize("end", [".bin", ".xml"])
def test_a_model_of_which_the_end_is_missing_is_named(name: str, end: str, tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO_FOLDER / "openvino", tmp_path / "exported")
    assert {level for level, _ in _look(folder)} == {"ok"}
    path = folder / f"{name}{end}"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 9)
    ((level, message),) = [each for each in _look(folder) if each[0] != "ok"]
    assert level == "error"
    assert message.startswith(f"{path}: ")
    if end == ".bin":
        assert f"has {size - 9:,} bytes, its graph tells of {size:,}" in message
