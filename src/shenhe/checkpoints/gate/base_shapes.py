"""Names and shapes of a Qwen3-VL's weights, from its config.json alone.

transformers computes the same from classes that take 3 s to import. Only configurations whose every
key and value is known here are judged; tests compare the shapes with those of transformers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import read_tables

Shape = tuple[int, ...]
LM_HEAD: Final = "lm_head.weight"
MAX_LAYERS: Final = 1000
_TEXT_SIZES: Final = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim"),
    *("num_attention_heads", "num_key_value_heads", "max_position_embeddings"),
)
_VISION_SIZES: Final = (
    *("depth", "hidden_size", "intermediate_size", "num_heads", "in_channels", "patch_size"),
    *("temporal_patch_size", "spatial_merge_size", "num_position_embeddings", "out_hidden_size"),
)
_SIZES: Final = frozenset((*_TEXT_SIZES, *_VISION_SIZES))
_TOKENS: Final = frozenset(
    (
        *("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"),
        *("bos_token_id", "eos_token_id", "pad_token_id"),
    )
)
_FLAGS: Final = frozenset(("use_cache", "tie_word_embeddings", "mrope_interleaved"))
_NUMBERS: Final = frozenset(
    ("attention_dropout", "initializer_range", "rms_norm_eps", "rope_theta")
)
_INDICES: Final = frozenset(("mrope_section", "deepstack_visual_indexes"))
_SECTIONS: Final = frozenset(("text_config", "vision_config", "rope_parameters", "rope_scaling"))
_DTYPES: Final = ("bfloat16", "float16", "float32")
_CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "model_type": ("qwen3_vl", "qwen3_vl_text", "qwen3_vl_vision"),
    "architectures": (["Qwen3VLForConditionalGeneration"],),
    "attention_bias": (False,),
    "hidden_act": ("silu", "gelu_pytorch_tanh"),
    "rope_type": ("default", "axial"),
    "dtype": _DTYPES,
    "torch_dtype": _DTYPES,
}


class BaseShapes(NamedTuple):
    """Shapes of a base's weights by name, and the names of all its modules."""

    weights: Mapping[str, Shape]
    modules: frozenset[str]


def read_base_shapes(base: CheckpointFiles) -> BaseShapes | None:
    """Read the shapes of a base whose configuration is known and whose weights agree with it.

    Returns: None if there is any doubt: then transformers has to judge.
    Raises: CheckpointError if a weight file is damaged.
    """
    config = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    text, vision = config.get("text_config"), config.get("vision_config")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        return None
    if config.get("model_type") != "qwen3_vl" or not _is_known(config):
        return None
    if not (text.keys() >= set(_TEXT_SIZES) and vision.keys() >= set(_VISION_SIZES)):
        return None
    if max(text["num_hidden_layers"], vision["depth"]) > MAX_LAYERS:
        return None
    shapes = dict(_text_shapes(text)) | dict(_vision_shapes(vision))
    stored = {name: tensor.shape for name, tensor in read_tables(base.weights).items()}
    if config.get("tie_word_embeddings") is True and text.get("tie_word_embeddings", True) is True:
        stored.setdefault(LM_HEAD, shapes[LM_HEAD])
    if stored != shapes:
        return None
    modules = {
        name.rsplit(".", dots)[0] for name in shapes for dots in range(1, name.count(".") + 1)
    }
    return BaseShapes(shapes, frozenset({"", *modules, *_bare_modules(text, vision)}))


def _is_known(section: Mapping[str, object]) -> bool:
    """Whether every key of a configuration is known and has a value of its type."""
    return all(_is_known_value(key, value) for key, value in section.items())


def _is_known_value(key: str, value: object) -> bool:
    if key in _CHOICES:
        return value in _CHOICES[key]
    if key in _SECTIONS:
        return isinstance(value, dict) and _is_known(value)
    if key in _SIZES:
        return type(value) is int and value > 0
    if key in _TOKENS:
        return value is None or type(value) is int
    if key in _FLAGS:
        return type(value) is bool
    if key in _NUMBERS:
        return type(value) in (int, float)
    if key in _INDICES:
        return isinstance(value, list) and all(type(index) is int for index in value)
    return key == "transformers_version" and isinstance(value, str)


def _text_shapes(config: Mapping[str, int]) -> Iterator[tuple[str, Shape]]:
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries = config["num_attention_heads"] * head
    keys = config["num_key_value_heads"] * head
    yield LM_HEAD, (config["vocab_size"], hidden)
    prefix = "model.language_model"
    yield f"{prefix}.embed_tokens.weight", (config["vocab_size"], hidden)
    yield f"{prefix}.norm.weight", (hidden,)
    for number in range(config["num_hidden_layers"]):
        for module, shape in (
            ("self_attn.q_proj", (queries, hidden)),
            ("self_attn.k_proj", (keys, hidden)),
            ("self_attn.v_proj", (keys, hidden)),
            ("self_attn.o_proj", (hidden, queries)),
            ("self_attn.q_norm", (head,)),
            ("self_attn.k_norm", (head,)),
            ("mlp.gate_proj", (inner, hidden)),
            ("mlp.up_proj", (inner, hidden)),
            ("mlp.down_proj", (hidden, inner)),
            ("input_layernorm", (hidden,)),
            ("post_attention_layernorm", (hidden,)),
        ):
            yield f"{prefix}.layers.{number}.{module}.weight", shape


def _vision_shapes(config: Mapping[str, int]) -> Iterator[tuple[str, Shape]]:
    hidden, inner, patch = config["hidden_size"], config["intermediate_size"], config["patch_size"]
    merged = hidden * config["spatial_merge_size"] ** 2
    kernel = (config["in_channels"], config["temporal_patch_size"], patch, patch)
    prefix = "model.visual"
    yield f"{prefix}.pos_embed.weight", (config["num_position_embeddings"], hidden)
    modules: dict[str, Shape] = {"patch_embed.proj": (hidden, *kernel)}
    for number in range(config["depth"]):
        modules |= {
            f"blocks.{number}.norm1": (hidden,),
            f"blocks.{number}.norm2": (hidden,),
            f"blocks.{number}.attn.qkv": (3 * hidden, hidden),
            f"blocks.{number}.attn.proj": (hidden, hidden),
            f"blocks.{number}.mlp.linear_fc1": (inner, hidden),
            f"blocks.{number}.mlp.linear_fc2": (hidden, inner),
        }
    for merger in _mergers(config):
        modules |= {
            f"{merger}.norm": (hidden if merger == "merger" else merged,),
            f"{merger}.linear_fc1": (merged, merged),
            f"{merger}.linear_fc2": (config["out_hidden_size"], merged),
        }
    for module, shape in modules.items():
        yield f"{prefix}.{module}.weight", shape
        yield f"{prefix}.{module}.bias", shape[:1]


def _mergers(config: Mapping[str, object]) -> list[str]:
    indexes = config.get("deepstack_visual_indexes")
    count = len(indexes) if isinstance(indexes, list) else 0
    return ["merger", *(f"deepstack_merger_list.{number}" for number in range(count))]


def _bare_modules(text: Mapping[str, int], vision: Mapping[str, int]) -> Iterator[str]:
    """Yield the modules without weights, which an adapter's configuration may match as well."""
    yield "model.language_model.rotary_emb"
    yield "model.visual.rotary_pos_emb"
    for number in range(text["num_hidden_layers"]):
        yield f"model.language_model.layers.{number}.mlp.act_fn"
    for number in range(vision["depth"]):
        yield f"model.visual.blocks.{number}.mlp.act_fn"
    for merger in _mergers(vision):
        yield f"model.visual.{merger}.act_fn"
