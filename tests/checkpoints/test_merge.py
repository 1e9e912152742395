"""A merge tensor by tensor equals a merge by PEFT to the bit."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoHaConfig, LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from shenhe import photos
from shenhe.checkpoints.companions import PROVENANCE
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.load import load_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.config import load_prompts
from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import AdapterError, CheckpointError, UsageError
from shenhe.messages import Answer
from shenhe.stages import caption

BASE = DEMO_FOLDER / "base"
ATTENTION = r".*language_model.*\.(q_proj|v_proj)"
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"target_modules": ATTENTION},
    "all-linear": {"target_modules": "all-linear", "r": 4},
    "rslora": {"target_modules": ATTENTION, "use_rslora": True},
    "dora": {"target_modules": ATTENTION, "use_dora": True},
    "patterns": {
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 3, r"layers\.1\.self_attn\.q_proj": 5},
        "alpha_pattern": {"layers.2.self_attn.q_proj": 64},
    },
    "vision tower": {"target_modules": r".*visual\.blocks.*\.(qkv|proj|linear_fc1|linear_fc2)"},
    "merger": {"target_modules": r".*visual\.(merger|deepstack_merger_list.*)\.linear_fc[12]"},
    "patch embedding": {"target_modules": ["patch_embed.proj", "q_proj"]},
    "norms whole": {"target_modules": ["k_proj"], "modules_to_save": ["input_layernorm"]},
    "lora bias": {"target_modules": r".*visual\.blocks.*\.qkv", "lora_bias": True},
    "biases": {"target_modules": r".*visual\.blocks.*\.qkv", "bias": "lora_only"},
}


def _model(folder: Path, dtype: torch.dtype) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)


def _adapter(
    folder: Path, kind: str, seed: int, base: Path = BASE, config: PeftConfig | None = None
) -> Path:
    """Save an adapter of a kind with random weights, as PEFT saves it."""
    if config is None:
        config = LoraConfig(**({"r": 8, "lora_alpha": 12} | (KINDS | WHOLE)[kind]))
    tuned = get_peft_model(_model(base, torch.float32), config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if weight.requires_grad and "magnitude" in name:
                weight.mul_(1 + 0.1 * torch.rand_like(weight))
            elif weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.05)
    tuned.save_pretrained(folder)
    return folder


def _by_peft(base: Path, adapters: Sequence[Path], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    model = _model(base, dtype)
    for adapter in adapters:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return {name: value.to(dtype) for name, value in model.state_dict().items()}


def _assert_same(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    merged: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        merged |= load_file(path)
    assert merged.keys() == expected.keys() - {"lm_head.weight"}
    for name, value in merged.items():
        assert value.dtype == expected[name].dtype, name
        assert torch.equal(value, expected[name]), name


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_and_two_in_order_equal_peft_to_the_bit(kind: str, dtype: str, tmp_path: Path) -> None:
    adapters = [_adapter(tmp_path / f"a{seed}", kind, seed) for seed in (1, 2)]
    for count in (1, 2):
        output = tmp_path / f"merged{count}"
        report = merge_adapters(str(BASE), list(map(str, adapters[:count])), output, dtype=dtype)
        assert report.merged > 0
        _assert_same(output, _by_peft(BASE, adapters[:count], getattr(torch, dtype)))


@pytest.mark.filterwarnings("ignore:Already found:UserWarning")
def test_adapters_of_one_base_warn_and_can_be_summed(tmp_path: Path) -> None:
    adapters = [_adapter(tmp_path / f"a{seed}", "all-linear", seed) for seed in (1, 2)]
    names = list(map(str, adapters))
    with pytest.warns(UserWarning, match="record the same base.*--combine sum"):
        merge_adapters(str(BASE), names, tmp_path / "order")
    merge_adapters(str(BASE), names, tmp_path / "sum", combine="sum")
    merge_adapters(str(BASE), names[::-1], tmp_path / "other", combine="sum")
    base = load_file(BASE / "model.safetensors")
    deltas = [_by_peft(BASE, [adapter], torch.float32) for adapter in adapters]
    merged, reversed_order = (
        load_file(tmp_path / n / "model.safetensors") for n in ("sum", "other")
    )
    for name, weight in base.items():
        whole = sum(delta[name] - weight.float() for delta in deltas) + weight.float()
        torch.testing.assert_close(merged[name], whole.to(torch.bfloat16), rtol=0.005, atol=1e-3)
        torch.testing.assert_close(merged[name], reversed_order[name], rtol=0.005, atol=1e-3)
    dora = _adapter(tmp_path / "d", "dora", 1)
    with pytest.raises(AdapterError, match="DoRA"):
        merge_adapters(str(BASE), [names[0], str(dora)], tmp_path / "no", combine="sum")


def test_plain_transformers_answers_like_the_adapter(
    engine: LocalEngine, demo_photos: list[Path], tmp_path: Path
) -> None:
    merge_adapters("demo", ["demo"], tmp_path / "m", dtype="float32")
    template = load_prompts().caption
    paths = demo_photos[::12]
    requests = [caption.request(str(path), [path], template, 400) for path in paths]
    answers = {
        answer.key: answer.text for answer in engine.answer(requests) if isinstance(answer, Answer)
    }
    model = _model(tmp_path / "m", torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    image_processor = AutoImageProcessor.from_pretrained(tmp_path / "m")
    for path in paths:
        image = photos.load(path, photos.PixelBudget(4096, 81920)).image
        vision = image_processor([image], return_tensors="pt")
        content = [{"type": "text", "text": "图片_1: "}, {"type": "image"}]
        content.append({"type": "text", "text": "\n" + template.fill()})
        messages: list[dict[str, Any]] = [{"role": "system", "content": template.system}]
        messages.append({"role": "user", "content": content})
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        patches = int(vision["image_grid_thw"].prod()) // 4
        text = text.replace("<|image_pad|>", "<|image_pad|>" * patches)
        inputs = tokenizer(text, return_tensors="pt")
        kinds = (inputs["input_ids"] == model.config.image_token_id).int()
        output = model.generate(
            **inputs, **vision, mm_token_type_ids=kinds, max_new_tokens=400, do_sample=False
        )
        written = output[0, inputs["input_ids"].shape[1] :]
        assert tokenizer.decode(written).removesuffix("<|im_end|>") == answers[str(path)]


def test_a_merged_checkpoint_has_the_adapters_logits(tmp_path: Path) -> None:
    output = tmp_path / "merged"
    report = merge_adapters("demo", ["demo"], output, max_shard_bytes=2_000_000)
    assert report.base_missing == ("video_preprocessor_config.json",)
    assert len(list(output.glob("model-*.safetensors"))) > 2
    merged = load_checkpoint(str(output), dtype="float32")
    tuned = load_checkpoint("demo", ["demo"], dtype="float32")
    plain = load_checkpoint("demo", dtype="float32")
    ids = torch.arange(40, 90)[None]
    with torch.inference_mode():
        result, expected, base = (
            loaded.model(input_ids=ids).logits for loaded in (merged, tuned, plain)
        )
    # The merged weights are rounded to the base's bfloat16 once more.
    assert (result - expected).abs().max() < 0.2
    assert (result - expected).abs().mean() < 0.2 * (base - expected).abs().mean()
    provenance = json.loads((output / PROVENANCE).read_text(encoding="utf-8"))
    assert len(provenance["adapters"]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["merged"]


def test_a_trained_head_of_a_tied_base_is_written_apart(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "a", "lora", 1)
    weights = load_file(adapter / "adapter_model.safetensors")
    head = torch.randn(load_checkpoint("demo").model.get_input_embeddings().weight.shape)
    weights["base_model.model.lm_head.weight"] = head
    save_file(weights, adapter / "adapter_model.safetensors")
    merge_adapters("demo", [str(adapter)], tmp_path / "m", dtype="float32")
    model = load_checkpoint(str(tmp_path / "m"), dtype="float32").model
    assert torch.equal(model.lm_head.weight, head)
    assert not torch.equal(model.get_input_embeddings().weight, head)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("targets", [["embed_tokens"], ["embed_tokens", "q_proj"]])
def test_trained_embeddings_of_a_tied_base_leave_the_head_as_it_runs(
    targets: list[str], tmp_path: Path
) -> None:
    """At run time such an adapter changes what goes in, not the head that is tied to it."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets)
    tuned = get_peft_model(_model(BASE, torch.float32), config)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in (w for w in tuned.parameters() if w.requires_grad):
            weight.add_(torch.randn_like(weight) * 0.1)
    tuned.save_pretrained(tmp_path / "a")
    merge_adapters("demo", [str(tmp_path / "a")], tmp_path / "m", dtype="float32")
    ids = torch.arange(40, 90)[None]
    with torch.inference_mode():
        expected = load_checkpoint("demo", [str(tmp_path / "a")], dtype="float32").model(
            input_ids=ids
        )
        base = load_checkpoint("demo", dtype="float32").model(input_ids=ids)
        merged = load_checkpoint(str(tmp_path / "m"), dtype="float32").model(input_ids=ids)
    torch.testing.assert_close(merged.logits, expected.logits, atol=2e-4, rtol=1e-4)
    assert (base.logits - expected.logits).abs().max() > 0.1


def test_merging_onto_another_file_system(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no other file system here")
    adapter = _adapter(tmp_path / "a", "lora", 1)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        merge_adapters("demo", [str(adapter)], Path(folder) / "m")
        _assert_same(Path(folder) / "m", _by_peft(BASE, [adapter], torch.bfloat16))


def test_keys_without_the_language_model_segment(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "a", "lora", 1)
    expected = _by_peft(BASE, [adapter], torch.bfloat16)
    path = adapter / "adapter_model.safetensors"
    save_file({k.replace("language_model.", ""): v for k, v in load_file(path).items()}, path)
    merge_adapters("demo", [str(adapter)], tmp_path / "m")
    _assert_same(tmp_path / "m", expected)


Break = Callable[[Path, Path], object]


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _rename_keys(path: Path, old: str, new: str) -> None:
    save_file({k.replace(old, new): v for k, v in load_file(path).items()}, path)


def _spoil(path: Path, name: str) -> None:
    weights = load_file(path)
    next(weight for key, weight in weights.items() if name in key).view(-1)[5] = float("nan")
    save_file(weights, path)


W, A = "model.safetensors", "adapter_model.safetensors"
BROKEN: dict[str, tuple[Break, str]] = {
    "no weights": (lambda b, a: (b / W).unlink(), "weights are missing"),
    "cut weights": (lambda b, a: _rewrite(b / W, lambda d: d[:-100]), "its header tells of"),
    "cut header": (lambda b, a: _rewrite(b / W, lambda d: d[:500]), "cut off in its header"),
    "huge header": (
        lambda b, a: _rewrite(b / W, lambda d: (1 << 40).to_bytes(8, "little") + d[8:]),
        "cut off in its header",
    ),
    "damaged header": (
        lambda b, a: _rewrite(b / W, lambda d: d[:8] + b"x" + d[9:]),
        "its header is damaged",
    ),
    "empty file": (lambda b, a: (b / W).write_bytes(b""), "no safetensors file"),
    "not fetched": (
        lambda b, a: (b / W).write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:a\n"
        ),
        "git lfs pull",
    ),
    "pickle": (lambda b, a: (b / W).rename(b / "pytorch_model.bin"), "pickled weights"),
    "no processor": (lambda b, a: (b / "preprocessor_config.json").unlink(), "copy it from"),
    "remote code": (
        lambda b, a: _rewrite(b / "config.json", lambda d: b'{"auto_map": {},' + d[1:]),
        "remote code",
    ),
    "other model": (
        lambda b, a: _rewrite(b / "config.json", lambda d: d.replace(b"qwen3_vl", b"llama")),
        "is not Qwen3-VL",
    ),
    "index out of the folder": (
        lambda b, a: (b / f"{W}.index.json").write_text('{"weight_map": {"a": "../x"}}'),
        "outside its folder",
    ),
    "missing shard": (
        lambda b, a: (b / f"{W}.index.json").write_text('{"weight_map": {"a": "x.safetensors"}}'),
        "x.safetensors: the weights are missing",
    ),
    "no adapter config": (
        lambda b, a: (a / "adapter_config.json").unlink(),
        "adapter_config.json is missing",
    ),
    "cut adapter": (lambda b, a: _rewrite(a / A, lambda d: d[:-9]), "its header tells of"),
    "pickled adapter": (lambda b, a: (a / A).rename(a / "adapter_model.bin"), "pickled weights"),
    "wrong base": (lambda b, a: _rename_keys(a / A, "q_proj", "c_attn"), "match nothing"),
    "wrong shape": (
        lambda b, a: save_file(
            {
                k: v[:, :-8].contiguous() if "lora_A" in k else v
                for k, v in load_file(a / A).items()
            },
            a / A,
        ),
        "weights do not fit the base",
    ),
    "other kind": (
        lambda b, a: (a / "adapter_config.json").write_text(
            '{"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}'
        ),
        "that kind cannot be merged",
    ),
    "NaN in the adapter": (
        lambda b, a: _spoil(a / A, "layers.1.self_attn.q_proj.lora_B"),
        "hold NaN or infinity: .*layers.1.self_attn.q_proj.lora_B",
    ),
    "NaN in the base": (
        lambda b, a: _spoil(b / W, "layers.2.self_attn.v_proj"),
        "layers.2.self_attn.v_proj holds NaN",
    ),
    "link that leads nowhere": (
        lambda b, a: (b / W).rename(b / "x").with_name(W).symlink_to(b / "gone"),
        "weights are missing",
    ),
}


@pytest.mark.parametrize("output", ["/proc/merged", "file/merged", "link"])
def test_an_output_that_cannot_be_written_is_one_line(output: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    adapter = _adapter(tmp_path / "adapter", "lora", 1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match="cannot be written"):
        merge_adapters("demo", [str(adapter)], tmp_path / output)
    assert [path for path in sorted(tmp_path.rglob("*")) if path.suffix != ".lock"] == before


WHOLE: dict[str, dict[str, Any]] = {
    "trainable tokens": {
        "target_modules": ["q_proj"],
        "trainable_token_indices": {"embed_tokens": [5, 7]},
    },
    "target parameters": {"target_modules": [], "target_parameters": ["q_proj.weight"]},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", [*WHOLE, "LOHA"])
def test_kinds_beyond_a_module_are_merged_in_memory(kind: str, dtype: str, tmp_path: Path) -> None:
    config = LoHaConfig(r=4, alpha=8, target_modules=["v_proj"])
    adapters = [
        _adapter(tmp_path / f"a{n}", kind, n, config=config if kind == "LOHA" else None)
        for n in (1, 2)
    ]
    expected = _by_peft(BASE, adapters, getattr(torch, dtype))
    with pytest.warns(UserWarning, match="PEFT merges the whole model"):
        merge_adapters("demo", list(map(str, adapters)), tmp_path / "m", dtype=dtype)
    _assert_same(tmp_path / "m", expected)
    assert load_checkpoint(str(tmp_path / "m")).model.config.tie_word_embeddings


def test_keys_with_the_adapters_name_in_them(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "a", "lora", 1)
    expected = _by_peft(BASE, [adapter], torch.bfloat16)
    for part in ("lora_A", "lora_B"):
        _rename_keys(adapter / A, f"{part}.weight", f"{part}.default.weight")
    merge_adapters("demo", [str(adapter)], tmp_path / "m")
    _assert_same(tmp_path / "m", expected)
    load_checkpoint("demo", [str(adapter)])


@pytest.mark.parametrize("name", BROKEN)
def test_broken_inputs_are_named_and_leave_nothing(name: str, tmp_path: Path) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    adapter = _adapter(tmp_path / "adapter", "lora", 1)
    damage, message = BROKEN[name]
    damage(base, adapter)
    with pytest.raises(CheckpointError, match=message) as caught:
        merge_adapters(str(base), [str(adapter)], tmp_path / "out" / "merged")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_existing_output_is_refused_and_replaced_whole(tmp_path: Path) -> None:
    first, second = (_adapter(tmp_path / f"a{n}", "lora", n) for n in (1, 2))
    output = tmp_path / "m"
    merge_adapters("demo", [str(first)], output)
    with pytest.raises(UsageError, match="--overwrite"):
        merge_adapters("demo", [str(second)], output)
    (output / "old.json").write_text("{}")
    merge_adapters("demo", [str(second)], output, overwrite=True)
    assert not (output / "old.json").exists()
    _assert_same(output, _by_peft(BASE, [second], torch.bfloat16))
    with pytest.raises(UsageError, match="is the base or an adapter"):
        merge_adapters("demo", [str(first)], first, overwrite=True)
    with pytest.raises(AdapterError, match="no such folder"):
        merge_adapters("demo", ["nowhere"], tmp_path / "n")
