"""A checkpoint's configuration as versions of transformers below 5 read it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def old_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write config.json in the old form: the base of rotary positions apart from their scaling.

    >>> new = {"text_config": {"rope_parameters": {"rope_theta": 5e6, "rope_type": "default",
    ...        "mrope_section": [24, 20, 20], "mrope_interleaved": True}}, "vision_config": {}}
    >>> old_config(new)["text_config"]["rope_theta"]
    5000000.0
    >>> old_config(old_config(new)) == old_config(new)
    True
    """
    old = copy.deepcopy(dict(config))
    text, tower = old["text_config"], old["vision_config"]
    if "rope_parameters" in text:
        rope = text.pop("rope_parameters")
        text["rope_theta"] = rope.pop("rope_theta")
        text["rope_scaling"] = rope
    tower.pop("rope_parameters", None)
    tower.setdefault("hidden_act", "gelu_pytorch_tanh")
    if "dtype" in old:
        old["torch_dtype"] = old.pop("dtype")
    if "tie_word_embeddings" in old:
        text.setdefault("tie_word_embeddings", old["tie_word_embeddings"])
    return old


def old_video_processor(processor: Mapping[str, Any]) -> dict[str, Any]:
    """Write the video_preprocessor_config.json that those versions ask for.

    >>> old_video_processor({"patch_size": 16, "image_processor_type": "Qwen2VLImageProcessor"})
    {'patch_size': 16, 'video_processor_type': 'Qwen3VLVideoProcessor'}
    """
    kept = {name: value for name, value in processor.items() if name != "image_processor_type"}
    return {**kept, "video_processor_type": "Qwen3VLVideoProcessor"}
