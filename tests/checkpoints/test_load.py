"""Loading of checkpoints and adapters; faults are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints import find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.load import load_checkpoint
from shenhe.errors import AdapterError, CheckpointError, UsageError

Break = Callable[[Path], object]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_FOLDER / "base", tmp_path / "base"))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_FOLDER / "adapter", tmp_path / "adapter"))


def _edit(path: Path, **changes: object) -> None:
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps(config))


def _reweigh(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shutil.rmtree(f), "no such folder"),
        (lambda f: (f / "config.json").unlink(), "model_type None is not Qwen3-VL"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
        (lambda f: _edit(f / "config.json", model_type="llama"), "'llama' is not Qwen3-VL"),
        (lambda f: _edit(f / "config.json", auto_map={"AutoModel": "x.y"}), "remote code"),
        (lambda f: (f / "model.safetensors").unlink(), "weights are missing"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "pickled weights can run code",
        ),
        (lambda f: (f / "preprocessor_config.json").unlink(), "copy it from the base"),
        (lambda f: (f / "tokenizer_config.json").unlink(), "tokenizer_config.json is missing"),
        (lambda f: (f / "chat_template.jinja").unlink(), "chat_template.jinja is missing"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "processor files are damaged"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:9000]
            ),
            "cut off in its header",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "../../secret.safetensors"}}'
            ),
            "outside its folder",
        ),
        (
            lambda f: _reweigh(
                f / "model.safetensors", lambda w: w.pop("model.language_model.norm.weight")
            ),
            "1 weights are missing",
        ),
        (
            lambda f: _reweigh(f / "model.safetensors", lambda w: w.update(extra=torch.ones(2))),
            "1 unknown weights: extra",
        ),
    ],
)
def test_a_damaged_base_is_named(base: Path, damage: Break, message: str) -> None:
    damage(base)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(str(base))
    assert "\n" not in str(caught.value)


def _rename_all(weights: dict[str, torch.Tensor]) -> None:
    for name in list(weights):
        weights[name.replace("layers", "blocks")] = weights.pop(name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shutil.rmtree(f), "no such folder"),
        (lambda f: (f / "adapter_config.json").unlink(), "not an adapter"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "weights are missing"),
        (
            lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
            "pickled weights",
        ),
        (lambda f: _reweigh(f / "adapter_model.safetensors", _rename_all), "match nothing"),
        (
            lambda f: _reweigh(f / "adapter_model.safetensors", lambda w: w.pop(sorted(w)[0])),
            "lacks weights for 1 places",
        ),
        (lambda f: _edit(f / "adapter_config.json", r=5), "does not fit the base"),
        (
            lambda f: _edit(f / "adapter_config.json", target_modules=["no_such_module"]),
            "does not fit the base",
        ),
    ],
)
def test_an_adapter_that_does_not_fit_is_named(adapter: Path, damage: Break, message: str) -> None:
    damage(adapter)
    with pytest.raises(AdapterError, match=message) as caught:
        load_checkpoint("demo", [str(adapter)])
    assert "\n" not in str(caught.value)


def test_an_adapter_of_zeros_warns(adapter: Path) -> None:
    def zero(weights: dict[str, torch.Tensor]) -> None:
        for name in weights:
            weights[name] = torch.zeros_like(weights[name])

    _reweigh(adapter / "adapter_model.safetensors", zero)
    with pytest.warns(UserWarning, match="changes nothing"):
        load_checkpoint("demo", [str(adapter)])


def test_two_adapters_add_up(adapter: Path) -> None:
    """The same adapter twice moves a weight twice as far."""
    name = "model.language_model.layers.0.self_attn.q_proj"
    base = load_checkpoint("demo", dtype="float32").model.get_submodule(name)
    once = load_checkpoint("demo", ["demo"], dtype="float32").model
    twice = load_checkpoint("demo", ["demo", str(adapter)], dtype="float32").model
    x = torch.randn(3, 192)
    plain = base(x)
    moved = once.get_submodule(f"base_model.model.{name}")(x) - plain
    moved_twice = twice.get_submodule(f"base_model.model.{name}")(x) - plain
    torch.testing.assert_close(moved_twice, 2 * moved, atol=1e-5, rtol=1e-4)


def test_fingerprint_depends_on_weights_and_order(base: Path, adapter: Path) -> None:
    def of(*names: str) -> str:
        return fingerprint(find_checkpoint(str(base)), *map(find_adapter, names))

    plain = of()
    assert plain == of() != of(str(adapter))
    _reweigh(
        base / "model.safetensors",
        lambda w: w.update({k: v + 0.01 for k, v in w.items() if "q_proj" in k}),
    )
    assert of() != plain


@pytest.mark.parametrize(
    ("option", "value"), [("dtype", "int3"), ("device", "cuda:77"), ("device", "nonsense")]
)
def test_unavailable_options_are_refused(option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} {value}"):
        load_checkpoint("demo", **{option: value})


def test_older_keys_give_the_same_logits(adapter: Path) -> None:
    def logits(path: Path) -> torch.Tensor:
        model = load_checkpoint("demo", [str(path)], dtype="float32").model
        with torch.inference_mode():
            result: torch.Tensor = model(input_ids=torch.arange(40, 60)[None]).logits
        return result

    expected = logits(adapter)
    with torch.inference_mode():
        base = load_checkpoint("demo", dtype="float32").model(input_ids=torch.arange(40, 60)[None])
    assert not torch.equal(base.logits, expected)
    path = adapter / "adapter_model.safetensors"
    save_file({k.replace("language_model.", ""): v for k, v in load_file(path).items()}, path)
    assert torch.equal(logits(adapter), expected)
