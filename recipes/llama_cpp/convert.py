"""A dense Qwen3-VL checkpoint as two GGUF files: the language model, and its vision tower.

Adapters are merged first (`shenhe merge`). Fields and names of tensors are those that llama.cpp's
own converter writes.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from recipes.llama_cpp.gguf_file import BLOCK, FILE_TYPES, Tensor, TensorType, write_gguf
from shenhe.checkpoints.inspect import CheckpointFiles, find_checkpoint, read_object
from shenhe.checkpoints.processor import PREPROCESSOR
from shenhe.checkpoints.tensors import StoredTensor, read_tables
from shenhe.checkpoints.torch_tensors import read_tensor
from shenhe.errors import CheckpointError

MODEL, TOWER = "model.gguf", "mmproj.gguf"
PRE_TOKENIZER: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizers split a text; llama.cpp knows it as `qwen2`."""
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Kinds of tokens."""
TEXT_NAMES: Final = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOWER_NAMES: Final = {
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.qkv": "attn_qkv",
    "attn.proj": "attn_out",
    "mlp.linear_fc1": "ffn_up",
    "mlp.linear_fc2": "ffn_down",
    "merger.norm": "v.post_ln",
    "merger.linear_fc1": "mm.0",
    "merger.linear_fc2": "mm.2",
    "pos_embed": "v.position_embd",
    "patch_embed.proj": "v.patch_embd",
    "norm": "norm",
    "linear_fc1": "fc1",
    "linear_fc2": "fc2",
}
_NUMBERED: Final = re.compile(r"(layers|blocks|deepstack_merger_list)\.([0-9]+)\.(.+)")


def convert(checkpoint: str, folder: Path, kind: TensorType = "q8_0") -> list[Path]:
    """Write the files of a checkpoint, and its processor beside them, which tells photos' size.

    The tower is float16, or float32 with everything else.
    Raises: CheckpointError for a checkpoint that this cannot convert.
    """
    files = find_checkpoint(checkpoint)
    config = read_object(files.folder / "config.json", CheckpointError)
    if config["model_type"] != "qwen3_vl":
        raise CheckpointError(f"{files.folder}: use llama.cpp's own converter for experts")
    folder.mkdir(parents=True, exist_ok=True)
    tables = read_tables(files.weights)
    tower_kind: TensorType = "f32" if kind == "f32" else "f16"
    name = files.folder.resolve().name
    write_gguf(
        folder / MODEL,
        _text_fields(config, name, kind) | _tokenizer_fields(files, config["text_config"]),
        [*_text_tensors(tables, kind, tied=bool(config.get("tie_word_embeddings")))],
    )
    write_gguf(
        folder / TOWER,
        _tower_fields(files, config, name, tower_kind),
        [*_tower_tensors(tables, config["vision_config"], tower_kind)],
    )
    shutil.copyfile(files.folder / PREPROCESSOR, folder / PREPROCESSOR)
    return [folder / MODEL, folder / TOWER]


def _text_fields(config: Mapping[str, Any], name: str, kind: TensorType) -> dict[str, object]:
    text = config["text_config"]
    # Published checkpoints have the names of transformers 4.
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    theta = rope.get("rope_theta", text.get("rope_theta", 5_000_000.0))
    fields: dict[str, object] = {
        "block_count": text["num_hidden_layers"],
        "context_length": text["max_position_embeddings"],
        "embedding_length": text["hidden_size"],
        "feed_forward_length": text["intermediate_size"],
        "attention.head_count": text["num_attention_heads"],
        "attention.head_count_kv": text["num_key_value_heads"],
        "rope.dimension_sections": [*rope["mrope_section"], 0],
        "rope.freq_base": float(theta),
        "attention.layer_norm_rms_epsilon": float(text["rms_norm_eps"]),
        "attention.key_length": text["head_dim"],
        "attention.value_length": text["head_dim"],
        "n_deepstack_layers": len(config["vision_config"]["deepstack_visual_indexes"]),
    }
    general = _general("qwen3vl", "model", name, kind)
    return general | {f"qwen3vl.{key}": value for key, value in fields.items()}


def _general(architecture: str, what: str, name: str, kind: TensorType) -> dict[str, object]:
    return {
        "general.architecture": architecture,
        "general.type": what,
        "general.name": name,
        "general.file_type": FILE_TYPES[kind],
        "general.quantization_version": 2,
    }


def _tokenizer_fields(files: CheckpointFiles, text: Mapping[str, Any]) -> dict[str, object]:
    """Give the vocabulary and the chat template.

    Raises: CheckpointError for a tokenizer that splits texts in another way than Qwen's.
    """
    tokenizer = read_object(files.folder / "tokenizer.json", CheckpointError)
    if json.dumps(PRE_TOKENIZER) not in json.dumps(tokenizer.get("pre_tokenizer")):
        raise CheckpointError(f"{files.folder}: its tokenizer splits texts in another way")
    config = read_object(files.folder / "tokenizer_config.json", CheckpointError)
    template = files.folder / "chat_template.jinja"
    ids = dict(tokenizer["model"]["vocab"])
    special = {token["content"]: token["special"] for token in tokenizer["added_tokens"]}
    ids |= {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    size = int(text["vocab_size"])
    tokens, kinds = [f"[PAD{index}]" for index in range(size)], [UNUSED] * size
    for token, index in ids.items():
        tokens[index] = token
        looks_special = token.startswith("<|") and token.endswith("|>")
        kinds[index] = NORMAL if token not in special else USER_DEFINED
        if token in special and (special[token] or looks_special):
            kinds[index] = CONTROL
    merges = tokenizer["model"]["merges"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in merges],
        "tokenizer.ggml.eos_token_id": ids[_content(config["eos_token"])],
        "tokenizer.ggml.padding_token_id": ids[_content(config["pad_token"])],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template.read_text(encoding="utf-8")
        if template.exists()
        else str(config["chat_template"]),
    }


def _content(token: str | Mapping[str, str]) -> str:
    """Return a special token, which some configurations hold as an object."""
    return token if isinstance(token, str) else token["content"]


def _text_tensors(
    tables: Mapping[str, StoredTensor], kind: TensorType, *, tied: bool
) -> Iterator[Tensor]:
    prefix = "model.language_model."
    for name, stored in tables.items():
        if name == "lm_head.weight" and not tied:
            yield _tensor("output.weight", stored, kind)
        elif name.startswith(prefix):
            stem = name.removeprefix(prefix).removesuffix(".weight")
            layer = _NUMBERED.fullmatch(stem)
            block, stem = (f"blk.{layer[2]}.", layer[3]) if layer else ("", stem)
            yield _tensor(f"{block}{TEXT_NAMES[stem]}.weight", stored, kind)


def _tower_fields(
    files: CheckpointFiles, config: Mapping[str, Any], name: str, kind: TensorType
) -> dict[str, object]:
    vision = config["vision_config"]
    processor = read_object(files.folder / PREPROCESSOR, CheckpointError)
    side = math.isqrt(vision["num_position_embeddings"]) * vision["patch_size"]
    fields: dict[str, object] = {
        "projection_dim": vision["out_hidden_size"],
        "image_size": side,
        "patch_size": vision["patch_size"],
        "embedding_length": vision["hidden_size"],
        "feed_forward_length": vision["intermediate_size"],
        "block_count": vision["depth"],
        "attention.head_count": vision["num_heads"],
        "image_mean": list(map(float, processor["image_mean"])),
        "image_std": list(map(float, processor["image_std"])),
        "spatial_merge_size": vision["spatial_merge_size"],
        "attention.layer_norm_epsilon": float(config["text_config"]["rms_norm_eps"]),
        "is_deepstack_layers": [
            layer in vision["deepstack_visual_indexes"] for layer in range(vision["depth"])
        ],
    }
    general = _general("clip", "mmproj", name, kind) | {
        "clip.has_vision_encoder": True,
        "clip.projector_type": "qwen3vl_merger",
        "clip.use_gelu": True,
    }
    return general | {f"clip.vision.{key}": value for key, value in fields.items()}


def _tower_tensors(
    tables: Mapping[str, StoredTensor], vision: Mapping[str, Any], kind: TensorType
) -> Iterator[Tensor]:
    prefix = "model.visual."
    for name, stored in tables.items():
        if not name.startswith(prefix):
            continue
        stem, _, part = name.removeprefix(prefix).rpartition(".")
        if name.endswith("patch_embed.proj.weight"):
            yield from _patch_tensors(stored, kind)
            continue
        block = _NUMBERED.fullmatch(stem)
        if block and block[1] == "blocks":
            written = f"v.blk.{block[2]}.{TOWER_NAMES[block[3]]}"
        elif block:
            layer = vision["deepstack_visual_indexes"][int(block[2])]
            written = f"v.deepstack.{layer}.{TOWER_NAMES[block[3]]}"
        else:
            written = TOWER_NAMES[stem]
        exact = stem == "pos_embed"
        yield _tensor(f"{written}.{part}", stored, "f32" if exact else kind)


def _patch_tensors(stored: StoredTensor, kind: TensorType) -> Iterator[Tensor]:
    """Split the convolution over two frames into two over one."""
    for frame, suffix in enumerate(("", ".1")):

        def read(frame: int = frame) -> torch.Tensor:
            return read_tensor(stored)[:, :, frame]

        shape = stored.shape[:2] + stored.shape[3:]
        yield Tensor(f"v.patch_embd.weight{suffix}", shape, kind, read)


def _tensor(name: str, stored: StoredTensor, kind: TensorType) -> Tensor:
    """Make a tensor, in float32 where llama.cpp reads nothing else."""
    if len(stored.shape) == 1 or name.endswith("_norm.weight"):
        kind = "f32"
    elif kind == "q8_0" and stored.shape[-1] % BLOCK:
        kind = "f16"
    return Tensor(name, stored.shape, kind, partial(read_tensor, stored))
