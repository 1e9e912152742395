"""The conversion for llama.cpp; its server reads the files in tests/engines/test_llama_cpp."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.llama_cpp.convert import convert
from recipes.llama_cpp.gguf_file import BLOCK_BYTES, quantize
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.processor import read_processor
from shenhe.errors import CheckpointError


def test_blocks_of_eight_bits_are_within_half_a_step() -> None:
    values = torch.linspace(-3, 5, 64) ** 3
    values[32:] = 0
    raw = quantize(values)
    assert len(raw) == 2 * BLOCK_BYTES
    for block, expected in ((raw[:BLOCK_BYTES], values[:32]), (raw[BLOCK_BYTES:], values[32:])):
        (scale,) = struct.unpack("<e", block[:2])
        read = np.frombuffer(block[2:], np.int8) * scale
        assert np.abs(read - expected.numpy()).max() <= scale * 0.57


@pytest.mark.parametrize(("kind", "megabytes"), [("f16", 7.8), ("q8_0", 6.1)])
def test_the_files_of_a_checkpoint(kind: str, megabytes: float, tmp_path: Path) -> None:
    model, tower = convert("demo", tmp_path, kind)  # type: ignore[arg-type]
    assert (model.stat().st_size + tower.stat().st_size) / 1e6 == pytest.approx(megabytes, abs=0.2)
    assert read_processor(str(tmp_path)) == read_processor("demo")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config.json", '"qwen3_vl"', '"qwen3_vl_moe"', "own converter for experts"),
        ("tokenizer.json", r"\\p{N}|", r"\\p{N}{1,3}|", "splits texts in another way"),
    ],
)
def test_other_checkpoints_are_refused(
    file: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER / "base", tmp_path / "base"))
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        convert(str(folder), tmp_path / "gguf")
    json.loads((folder / file).read_text(encoding="utf-8"))
