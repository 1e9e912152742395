"""Rounded weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.load import load_checkpoint


def test_int8_leaves_the_file_of_the_checkpoint(tmp_path: Path) -> None:
    """A weight that stays as it is must not keep the whole file in memory."""
    shutil.copytree(DEMO_FOLDER / "base", tmp_path / "base")
    maps = Path("/proc/self/maps")
    read_in_place = load_checkpoint(str(tmp_path / "base"), dtype="bfloat16")
    assert str(tmp_path) in maps.read_text()
    del read_in_place
    rounded = load_checkpoint(str(tmp_path / "base"), dtype="bfloat16", quantize="int8")
    assert str(tmp_path) not in maps.read_text()
    assert rounded.model.get_input_embeddings() is not None
