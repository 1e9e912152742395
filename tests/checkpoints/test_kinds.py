"""PEFT's kinds besides LoRA: an admitted adapter is the same model trained, loaded and merged."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from shenhe.checkpoints.gate.configuration import BEYOND_LORA
from shenhe.checkpoints.load import load_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.errors import AdapterError
from tests.checkpoints.small_adapters import BASE, TARGETS

SETTINGS: dict[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 10},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 8},
    "IA3": {"feedforward_modules": []},
    "LN_TUNING": {"target_modules": ["input_layernorm"]},
    "OFT": {"oft_block_size": 4},
    "TRAINABLE_TOKENS": {"token_indices": [5, 7], "target_modules": ["embed_tokens"]},
}
IDS = torch.arange(40, 90)[None]


def _trained(folder: Path, config: Any) -> Any:
    """Create an adapter, change its weights as training would, save it, and return the model."""
    base = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = get_peft_model(base, config)
        torch.manual_seed(1)
        with torch.no_grad():
            for weight in tuned.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * 0.05)
        tuned.save_pretrained(folder)
    return tuned.eval()


def _logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", BEYOND_LORA)
def test_loaded_and_merged_models_equal_the_trained_one(kind: str, tmp_path: Path) -> None:
    config = PEFT_TYPE_TO_CONFIG_MAPPING[kind](
        **({"target_modules": TARGETS} | SETTINGS.get(kind, {}))
    )
    tuned = _trained(tmp_path / "a", config)
    expected = _logits(tuned)
    assert (_logits(load_checkpoint("demo", dtype="float32").model) - expected).abs().max() > 1e-3
    loaded = load_checkpoint("demo", [str(tmp_path / "a")], dtype="float32").model
    assert torch.equal(_logits(loaded), expected)
    merge_adapters("demo", [str(tmp_path / "a")], tmp_path / "m", dtype="float32")
    state = tuned.merge_and_unload().state_dict()
    for name, weight in load_file(tmp_path / "m" / "model.safetensors").items():
        assert torch.equal(weight, state[name]), name


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "options",
    [{"init_lora_weights": "pissa"}, {"init_lora_weights": "olora"}, {"use_dora": True}],
    ids=["pissa", "olora", "dora"],
)
def test_a_changed_base_is_refused_and_dora_is_not(options: dict[str, Any], tmp_path: Path) -> None:
    tuned = _trained(tmp_path / "a", LoraConfig(r=4, target_modules=TARGETS, **options))
    expected = _logits(tuned)
    if "use_dora" in options:
        loaded = load_checkpoint("demo", [str(tmp_path / "a")], dtype="float32").model
        assert torch.equal(_logits(loaded), expected)
        return
    with pytest.raises(AdapterError, match="changed the base before training"):
        load_checkpoint("demo", [str(tmp_path / "a")])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pissa_that_peft_converts_is_plain_lora(tmp_path: Path) -> None:
    """The remedy that the refusal names: what training added, as LoRA of twice the rank."""
    config = LoraConfig(r=4, target_modules=TARGETS, init_lora_weights="pissa")
    tuned = get_peft_model(
        AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32), config
    )
    config.init_lora_weights = True
    tuned.save_pretrained(tmp_path / "begun")
    config.init_lora_weights = "pissa"
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data.add_(torch.randn_like(weight) * 0.02)
    tuned.save_pretrained(
        tmp_path / "done", path_initial_model_for_weight_conversion=tmp_path / "begun"
    )
    loaded = load_checkpoint("demo", [str(tmp_path / "done")], dtype="float32").model
    torch.testing.assert_close(_logits(loaded), _logits(tuned.eval()), atol=2e-3, rtol=1e-3)
