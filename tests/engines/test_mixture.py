"""Qwen3-VL with a mixture of experts, tiny, with random weights, on the same scheduler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)

from shenhe import photos
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.load import load_checkpoint
from shenhe.config import load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.engines.prompts import as_template_message
from shenhe.messages import Answer
from shenhe.stages import caption


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture") / "model"
    shutil.copytree(DEMO_FOLDER / "base", folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    content["text_config"] |= {
        "model_type": "qwen3_vl_moe_text",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }
    content["vision_config"]["model_type"] = "qwen3_vl_moe_vision"
    content |= {"model_type": "qwen3_vl_moe", "dtype": "float32"}
    content["architectures"] = ["Qwen3VLMoeForConditionalGeneration"]
    torch.manual_seed(5)
    model = Qwen3VLMoeForConditionalGeneration(Qwen3VLMoeConfig(**content))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return folder


def test_the_text_equals_that_of_transformers(mixture: Path, demo_photos: list[Path]) -> None:
    engine = LocalEngine(
        EngineSpec(model=str(mixture), constrain=False, engine=LocalOptions(dtype="float32"))
    )
    template = load_prompts().caption
    requests = [caption.request(str(path), [path], template, 24) for path in demo_photos[:3]]
    texts = {a.key: a.text for a in engine.answer(requests) if isinstance(a, Answer)}
    loaded = load_checkpoint(str(mixture), dtype="float32")
    model = AutoModelForImageTextToText.from_pretrained(mixture, dtype=torch.float32)
    tokenizer = loaded.processor.tokenizer
    for request in requests:
        text = tokenizer.apply_chat_template(
            [as_template_message(message) for message in request.messages],
            tokenize=False,
            add_generation_prompt=True,
        )
        image = photos.load(Path(request.key), loaded.budget).image
        inputs = loaded.processor(text=[text], images=[image], do_resize=False, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=24, do_sample=False)
        written = output[0, inputs["input_ids"].shape[1] :]
        assert tokenizer.decode(written) == texts[request.key]
