"""The recipe for OpenVINO, but for the export itself: tests/peers/test_openvino_export has that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recipes.openvino_export.export import _write_old_form, export
from recipes.openvino_export.old_form import old_config
from shenhe.checkpoints.inspect import DEMO_FOLDER, find_checkpoint
from shenhe.errors import CheckpointError, EngineError


def test_a_checkpoint_in_the_old_form(tmp_path: Path) -> None:
    files = find_checkpoint("demo")
    _write_old_form(files, tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    text, tower = config["text_config"], config["vision_config"]
    assert text["rope_theta"] == 10_000.0
    assert text["rope_scaling"]["mrope_section"] == [8, 8, 8]
    assert "rope_parameters" not in text
    assert "rope_parameters" not in tower
    assert text["tie_word_embeddings"] is True
    assert old_config(config) == config
    video = json.loads((tmp_path / "old" / "video_preprocessor_config.json").read_text())
    assert video["size"] == {"shortest_edge": 4096, "longest_edge": 81920}
    assert (tmp_path / "old" / "model.safetensors").samefile(files.weights[0])
    assert (
        "rope_parameters" in json.loads((files.folder / "config.json").read_text())["text_config"]
    )


def test_what_cannot_be_exported_is_said_first(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER / "base", tmp_path / "experts"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen3_vl_moe"}))
    with pytest.raises(CheckpointError, match="only dense checkpoints"):
        export(str(folder), [], tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be made"):
        export("demo", ["demo"], tmp_path / "out", environment=tmp_path / "file" / "venv")
    assert not (tmp_path / "out").exists()
