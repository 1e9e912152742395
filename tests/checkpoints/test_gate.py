"""One gate: load, merge, verify and doctor judge every adapter alike, in the same words."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from shenhe.checkpoints.adapter import PREFIX
from shenhe.checkpoints.check import check_adapters
from shenhe.checkpoints.load import load_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.checkpoints.torch_tensors import read_tensor
from shenhe.config import load_missions, load_prompts
from shenhe.doctor import Subject
from shenhe.doctor.local_checks import LOCAL_CHECKS
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import LocalOptions
from shenhe.errors import AdapterError
from tests.checkpoints.small_adapters import (
    BASE,
    FIRST,
    WEIGHTS,
    Change,
    base_tables,
    beside,
    configure,
    each,
    in_order,
    rename,
    rewrite,
    small_adapter,
)

NEVER = b"\x80\x04cposix\nsystem\n(S'touch /tmp/never'\ntR."
"""A pickle that runs a command when it is opened."""
NAN, INF = float("nan"), float("inf")
OLD = r"model\.layers"
LAYER = "model.language_model.layers"


def _first(tensors: dict[str, torch.Tensor], value: float) -> None:
    tensors[f"{FIRST}.lora_A.weight"].view(-1)[3] = value


def _drop(part: str) -> Change:
    return rewrite(lambda tensors: {k: v for k, v in tensors.items() if part not in k})


def _twice(tensors: dict[str, torch.Tensor]) -> None:
    name = f"{FIRST}.lora_A"
    tensors[f"{name}.default.weight"] = tensors[f"{name}.weight"].clone()


def _whole(name: str) -> Change:
    return rewrite(
        lambda tensors: tensors.update({f"{PREFIX}{name}": read_tensor(base_tables()[name])})
    )


def _header_twice(folder: Path) -> None:
    """One name, twice in the header, for the same bytes."""
    data = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip()
    entry = json.dumps({FIRST: json.loads(header)[f"{FIRST}.lora_A.weight"]})
    again = entry.replace(FIRST, f"{FIRST}.lora_A.weight").encode()
    header = header[:-1] + b"," + again[1:]
    (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])


REFUSED: dict[str, tuple[Change, str]] = {
    # Tensors
    "lora_A alone (LlamaFactory#7665)": (_drop("lora_B"), "lacks weights for 8 places.*lora_B"),
    "lora_B alone": (_drop("lora_A"), "lacks weights for 8 places.*lora_A"),
    "one half of one module": (_drop("0.self_attn.q_proj.lora_B"), "lacks weights for 1 places"),
    "a module short": (_drop("layers.1.self_attn.v_proj"), "lacks weights for 2 places"),
    "no tensor (trl#4416)": (lambda f: save_file({}, f / WEIGHTS), "holds no tensor"),
    "no bytes": (lambda f: (f / WEIGHTS).write_bytes(b""), "no safetensors file"),
    "a header alone": (
        lambda f: (f / WEIGHTS).write_bytes(bytes([2] + [0] * 7) + b"{}"),
        "no tensor",
    ),
    "a pointer of Git LFS": (
        lambda f: (f / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "a pointer of Git LFS, not the weights: git lfs pull",
    ),
    "NaN": (rewrite(lambda tensors: _first(tensors, NAN)), "1 tensors hold NaN or infinity"),
    "infinity": (rewrite(lambda tensors: _first(tensors, INF)), "1 tensors hold NaN or infinity"),
    "NaN in bfloat16": (
        in_order(rewrite(lambda t: _first(t, NAN)), each(torch.Tensor.bfloat16)),
        "hold NaN",
    ),
    "ZeRO-3 (peft#1328)": (each(lambda v: torch.empty(0), "lora_B"), r"shape \[0\].*ZeRO-3"),
    "ZeRO-3, one tensor": (each(lambda v: v[:0], "1.self_attn.q_proj.lora_A"), "empty, as ZeRO-3"),
    "FSDP's flat shards": (each(lambda v: v.view(-1)), "no matrices"),
    "float8": (each(lambda v: v.to(torch.float8_e4m3fn)), "is float8_e4m3fn"),
    "float8 in one module": (
        each(lambda v: v.to(torch.float8_e5m2), "0.self_attn.q"),
        "float8_e5m2",
    ),
    "int8": (each(lambda v: v.to(torch.int8), "lora_A"), "is int8"),
    "booleans": (each(lambda v: v > 0, "lora_A"), "is bool"),
    "a name twice": (rewrite(_twice), "stands twice"),
    "another base's width": (
        each(lambda v: v[:, :-8].contiguous(), "lora_A"),
        "8 weights do not fit the base: .*lora_A",
    ),
    "transposed (peft#2071)": (each(lambda v: v.T.contiguous()), "has rank"),
    "another base's names": (rename("self_attn.q_proj", "attn.c_attn"), "match nothing"),
    "a layer too many": (rename("layers.0.", "layers.99."), "match nothing"),
    "a shadow of the embeddings": (
        rewrite(
            lambda t: t.update({f"{PREFIX}{LAYER[:-7]}.embed_tokens.weight": torch.ones(3, 4)})
        ),
        "do not fit the base",
    ),
    # Rank and factor
    "another rank": (configure(r=8), "has rank 4, the configuration says 8"),
    "rank_pattern not kept": (configure(rank_pattern={"q_proj": 2}), "rank 4, .* says 2"),
    "rank_pattern, old names": (
        in_order(
            rename("model.language_model.", "model."),
            configure(rank_pattern={r"model.layers.0.self_attn.q_proj": 2}),
        ),
        "rank 4, .* says 2",
    ),
    "halves of two ranks": (each(lambda v: v[:, :2].contiguous(), "lora_B"), "rank 4 and 2"),
    # Configuration
    "r is a text": (configure(r="8"), 'r is "8"; it must be a whole number'),
    "r is 0": (configure(r=0), "r is 0; it must be"),
    "r is negative": (configure(r=-4), "r is -4; it must be"),
    "r is a fraction": (configure(r=4.5), "r is 4.5; it must be"),
    "r is true": (configure(r=True), "r is true; it must be"),
    "r is null": (configure(r=None), "r is null; it must be"),
    "no r": (configure(r=...), "r is null; it must be"),
    "alpha is NaN": (configure(lora_alpha=NAN), "lora_alpha is NaN; it must be"),
    "alpha is infinite": (configure(lora_alpha=INF), "lora_alpha is Infinity; it must be"),
    "alpha is a list": (configure(lora_alpha=[16]), "lora_alpha is .16.; it must be"),
    "alpha is negative": (configure(lora_alpha=-16), "lora_alpha is -16; it must be"),
    "rank_pattern is a list": (configure(rank_pattern=["q_proj"]), "rank_pattern is"),
    "rank_pattern of texts": (configure(rank_pattern={"q_proj": "4"}), "rank_pattern is"),
    "alpha_pattern with NaN": (configure(alpha_pattern={"q_proj": NAN}), "alpha_pattern is"),
    "a pattern that is none": (configure(alpha_pattern={"q_proj(": 1}), "is no pattern"),
    "targets are a number": (configure(target_modules=7), "target_modules is 7"),
    "targets hold a number": (configure(target_modules=["q_proj", 7]), "target_modules is"),
    "targets are no pattern": (configure(target_modules="(q_proj"), "is no pattern"),
    "targets name nothing": (configure(target_modules=["c_attn"]), "does not fit the base"),
    "targets name more": (
        configure(target_modules=["q_proj", "v_proj", "k_proj"]),
        "lacks weights",
    ),
    "targets name less": (configure(target_modules=["q_proj"]), "match nothing|lacks weights"),
    "layers name less": (
        configure(target_modules=["q_proj", "v_proj"], layers_to_transform=[0]),
        "match nothing",
    ),
    "what is trained is excluded": (configure(exclude_modules=["v_proj"]), "match nothing"),
    "modules_to_save without weights": (
        configure(modules_to_save=["norm"]),
        "lacks weights for .* places",
    ),
    "modules_to_save is a text": (configure(modules_to_save="norm"), "modules_to_save is"),
    "use_dora without magnitudes": (configure(use_dora=True), "lacks weights for 8 places"),
    "use_dora is a text": (configure(use_dora="false"), 'use_dora is "false"'),
    "bias of another kind": (configure(bias="some"), "bias is"),
    "lora_bias without its weights": (configure(lora_bias=True), "lacks weights for 8 places"),
    "no kind": (configure(peft_type=...), "peft_type 'None'"),
    "a list for a kind": (configure(peft_type=["LORA"]), "that kind cannot be merged"),
    "lower case kind": (configure(peft_type="lora"), "that kind cannot be merged"),
    "no object": (lambda f: (f / "adapter_config.json").write_text("[1]"), "not a JSON object"),
    "an option twice": (
        lambda f: (f / "adapter_config.json").write_text(
            (f / "adapter_config.json").read_text()[:-1] + ', "r": 4}'
        ),
        "r stands twice",
    ),
    "a tensor twice": (_header_twice, "stands twice"),
    "deep JSON": (
        lambda f: (f / "adapter_config.json").write_text("[" * 100_000),
        "cannot be read",
    ),
    # Kinds
    **{
        f"init {init} (peft#1929)": (configure(init_lora_weights=init), "changed the base before")
        for init in ("pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga", "PiSSA", "x")
    },
    "activated LoRA (peft#2609)": (configure(alora_invocation_tokens=[5, 6]), "activated LoRA"),
    "arrow": (configure(arrow_config={"top_k": 2}), "arrow routes"),
    "QALoRA": (configure(use_qalora=True), "use_qalora is set"),
    "KaSA": (configure(kasa_config={"beta": 0.1}), "kasa_config is set"),
    "block-diagonal": (configure(use_bdlora={"nblocks": 2}), "use_bdlora is set"),
    "MonteCLoRA": (configure(monteclora_config={"num_samples": 8}), "monteclora_config is set"),
    "Megatron": (configure(megatron_config={"tensor_model_parallel_size": 2}), "Megatron"),
    "layers repeated": (configure(layer_replication=[[0, 2], [1, 3]]), "layer_replication is set"),
    "an option of a newer PEFT": (configure(use_tomorrow=True), "use_tomorrow: options that"),
    **{
        kind: (configure(peft_type=kind, num_virtual_tokens=4), "that kind cannot be merged")
        for kind in (
            *("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT"),
            *("ADAPTION_PROMPT", "CARTRIDGE", "XLORA", "POLY", "PSOFT", "OSF", "SHADOW", "LILY"),
        )
    },
    "LoRA called LoHa": (configure(peft_type="LOHA"), "match nothing|lacks weights"),
    # Files beside the weights
    **{
        name: (beside(name, NEVER), f"{name}: weights beside")
        for name in (
            *("non_lora_state_dict.bin", "non_lora_trainables.bin", "adapter_model.bin"),
            *("value_head.bin", "pytorch_model.bin", "delta.pt", "mm_projector.bin", "vit.pkl"),
            *("lora.pth", "merger.ckpt", "embeddings.npz", "vit.bin"),
        )
    },
    "value_head.safetensors": (beside("value_head.safetensors"), "value_head.safetensors: weights"),
    "a foreign vit.safetensors": (beside("vit.safetensors"), "match nothing in the base"),
    "code": (beside("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}'), "asks for remote code"),
}


def _verdicts(adapter: Path, output: Path, base: str = "demo") -> dict[str, str]:
    """Collect the refusal or the warnings of all four, by name."""
    verdicts = {}
    for name, ask in (
        ("load", lambda: load_checkpoint(base, [str(adapter)])),
        ("merge", lambda: merge_adapters(base, [str(adapter)], output)),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                ask()
                messages = [str(w.message) for w in caught if str(adapter) in str(w.message)]
                verdicts[name] = "; ".join(t for t in messages if "PEFT merges the whole" not in t)
            except AdapterError as error:
                verdicts[name] = f"refused: {error}"
    spec = EngineSpec(model=base, adapters=(str(adapter),), engine=LocalOptions(dtype="float32"))
    subject = Subject(spec, load_prompts(), load_missions(), (), 100, load=False)
    for name, findings in (
        ("verify", list(check_adapters(base, [str(adapter)]))),
        ("doctor", list(LOCAL_CHECKS["adapters"](subject))),
    ):
        refused = [
            f"refused: {finding.message}" for finding in findings if finding.level == "error"
        ]
        verdicts[name] = "; ".join(
            refused or [finding.message for finding in findings if finding.level == "warning"]
        )
    return verdicts


@pytest.mark.parametrize("name", REFUSED)
def test_all_four_refuse_in_the_same_line(name: str, tmp_path: Path) -> None:
    change, message = REFUSED[name]
    adapter = small_adapter(tmp_path / "adapter")
    change(adapter)
    verdicts = _verdicts(adapter, tmp_path / "merged")
    assert len(set(verdicts.values())) == 1, verdicts
    assert re.search(f"refused: .*{message}", verdicts["load"])
    assert "\n" not in verdicts["load"]
    assert not (tmp_path / "merged").exists()


OTHER_WORDS = ("names of LLaVA's times", "no prefix", "in two files", "null options", "mica")


def _in_two_files(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {name: f"adapter_model-{n % 2}.safetensors" for n, name in enumerate(sorted(tensors))}
    for file in set(files.values()):
        save_file({k: v for k, v in tensors.items() if files[k] == file}, folder / file)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": files}))


TAKEN: dict[str, tuple[Change, str]] = {
    "as PEFT writes it": (lambda f: None, ""),
    "in two files": (_in_two_files, ""),
    "names of other times": (rename("model.language_model.", "model."), ""),
    "names of LLaVA's times": (rename("model.language_model.", "language_model.model."), ""),
    "a target of other times": (configure(target_modules=rf"^{OLD}\..*\.(q_proj|v_proj)$"), ""),
    "a rank of other times": (
        configure(r=8, rank_pattern={rf"^{OLD}\.\d+\.self_attn\.[qv]_proj": 4}),
        "",
    ),
    "no prefix": (rename(PREFIX, ""), ""),
    "alpha_pattern, anchored": (configure(alpha_pattern={rf"^{LAYER}\.0\..*q_proj": 64}), ""),
    "float64": (each(torch.Tensor.double), ""),
    "float16": (each(torch.Tensor.half), ""),
    "null options": (configure(rank_pattern=None, alpha_pattern=None, use_dora=None), ""),
    "gaussian": (configure(init_lora_weights="gaussian"), ""),
    "eva": (configure(init_lora_weights="eva", eva_config={"rho": 2.0}), ""),
    "orthogonal": (configure(init_lora_weights="orthogonal"), ""),
    "mica": (configure(init_lora_weights="mica"), ""),
    "init false": (configure(init_lora_weights=False), ""),
    "VeLoRA": (configure(velora_config={"num_groups": 4}), ""),
    "all its layers named": (
        configure(target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 1, 2, 3]),
        "",
    ),
    "what a trainer goes on from": (
        in_order(beside("optimizer.pt", NEVER), beside("rng_state_0.pth", NEVER)),
        "",
    ),
    "a number of a newer PEFT": (configure(tomorrow_size=16), "passed over.*tomorrow_size"),
    "B all zero": (each(torch.zeros_like, "lora_B"), "all its weights are zero"),
    "A all zero": (each(torch.zeros_like, "lora_A"), "all its weights are zero"),
    "all zero": (each(torch.zeros_like), "all its weights are zero"),
    "alpha is 0": (configure(lora_alpha=0), "all its weights are zero"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_all_four_accept_and_warn_alike(name: str, tmp_path: Path) -> None:
    change, message = TAKEN[name]
    adapter = small_adapter(tmp_path / "adapter")
    change(adapter)
    verdicts = _verdicts(adapter, tmp_path / "merged")
    assert len(set(verdicts.values())) == 1, verdicts
    assert "refused" not in verdicts["load"]
    assert re.search(message, verdicts["load"]) if message else not verdicts["load"]
    expected = _merged_by_peft(adapter, small_adapter(tmp_path / "plain"), name)
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert not [key for key, value in merged.items() if not torch.equal(value, expected[key])]


def _merged_by_peft(adapter: Path, plain: Path, name: str) -> dict[str, torch.Tensor]:
    """Merge by PEFT: the adapter as it is, in place of one with other names the same in PEFT's."""
    # The same adapter in words that PEFT does not read, or, for MiCA, would round once more.
    renamed = "other times" in name or name in OTHER_WORDS
    base = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = PeftModel.from_pretrained(base, plain if renamed else adapter)
        state: dict[str, torch.Tensor] = tuned.merge_and_unload().state_dict()
    return state


@pytest.mark.parametrize("option", ["rank_pattern", "alpha_pattern"])
def test_patterns_are_mapped_like_keys(option: str, tmp_path: Path) -> None:
    """Trained with the names of other times, patterns are in those too."""
    patterns = {"rank_pattern": {r"layers\.1\.self_attn\.q_proj": 2}, "alpha_pattern": {}}
    patterns["alpha_pattern"] = {f"{LAYER}.1.self_attn.q_proj": 64, "v_proj": 3}
    value = patterns[option]
    adapters = [small_adapter(tmp_path / time) for time in ("now", "then")]
    for adapter in adapters:
        configure(**{option: value})(adapter)
        if option == "rank_pattern":
            module = "layers.1.self_attn.q_proj"
            each(lambda v: v[:2].contiguous(), f"{module}.lora_A")(adapter)
            each(lambda v: v[:, :2].contiguous(), f"{module}.lora_B")(adapter)
    old = {key.replace("model.language_model", "model"): size for key, size in value.items()}
    old = {rf"^{key}" if key.startswith("model") else key: size for key, size in old.items()}
    configure(**{option: old})(adapters[1])
    rename("model.language_model.", "model.")(adapters[1])
    expected = _merged_by_peft(adapters[0], adapters[0], "")
    for adapter in adapters:
        merge_adapters("demo", [str(adapter)], tmp_path / f"m-{adapter.name}")
        merged = load_file(tmp_path / f"m-{adapter.name}" / "model.safetensors")
        assert all(torch.equal(weight, expected[key]) for key, weight in merged.items())
    ids = torch.arange(40, 60)[None]
    with torch.inference_mode():
        first, second = (
            load_checkpoint("demo", [str(a)], dtype="float32").model(input_ids=ids).logits
            for a in adapters
        )
    assert torch.equal(first, second)


def test_old_names_of_the_tower_in_a_target(tmp_path: Path) -> None:
    """`visual.` and `model.visual.`, keys and regular expression alike."""
    base = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    config = LoraConfig(r=4, target_modules=r"^model\.visual\.blocks\..*\.(qkv|proj)$")
    tuned = get_peft_model(base, config)
    torch.manual_seed(3)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data.add_(torch.randn_like(weight) * 0.05)
    adapter = tmp_path / "a"
    tuned.save_pretrained(adapter)
    rename("model.visual.", "visual.")(adapter)
    configure(target_modules=r"^visual\.blocks\..*\.(qkv|proj)$")(adapter)
    merge_adapters("demo", [str(adapter)], tmp_path / "m", dtype="float32")
    expected = tuned.merge_and_unload().state_dict()
    for key, weight in load_file(tmp_path / "m" / "model.safetensors").items():
        assert torch.equal(weight, expected[key])
    loaded = load_checkpoint("demo", [str(adapter)], dtype="float32").model
    assert sum("lora_A" in name for name, _ in loaded.named_parameters()) > 0


def test_a_tower_that_was_trained_whole_is_read(tmp_path: Path) -> None:
    """ms-swift's recipe keeps it in vit.safetensors beside the adapter (ms-swift#9187)."""
    adapter, plain = small_adapter(tmp_path / "adapter"), small_adapter(tmp_path / "plain")
    tower = {k: read_tensor(v) * 1.1 for k, v in base_tables().items() if ".visual." in k}
    save_file(
        {f"{PREFIX}{key}": value for key, value in tower.items()}, adapter / "vit.safetensors"
    )
    verdicts = _verdicts(adapter, tmp_path / "m")
    assert set(verdicts.values()) == {""}
    merged = load_file(tmp_path / "m" / "model.safetensors")
    expected = _merged_by_peft(plain, plain, "") | tower
    assert all(torch.equal(weight, expected[key]) for key, weight in merged.items())
    model = load_checkpoint("demo", [str(adapter)]).model
    assert isinstance(model, PeftModel)
    state = model.get_base_model().state_dict()
    assert all(torch.equal(state[key], value) for key, value in tower.items())


def test_a_head_held_whole_leaves_tied_embeddings_alone(tmp_path: Path) -> None:
    adapter = small_adapter(tmp_path / "adapter")
    shape = base_tables()["model.language_model.embed_tokens.weight"].shape
    head = torch.randn(shape) * 0.02
    rewrite(lambda tensors: tensors.update({f"{PREFIX}lm_head.weight": head}))(adapter)
    assert set(_verdicts(adapter, tmp_path / "m").values()) == {""}
    ids = torch.arange(40, 60)[None]
    merge_adapters("demo", [str(adapter)], tmp_path / "m32", dtype="float32")
    with torch.inference_mode():
        tuned = load_checkpoint("demo", [str(adapter)], dtype="float32").model(input_ids=ids)
        merged = load_checkpoint(str(tmp_path / "m32"), dtype="float32").model(input_ids=ids)
    torch.testing.assert_close(tuned.logits, merged.logits, atol=2e-4, rtol=1e-4)


def test_an_adapted_module_that_a_later_adapter_replaces_is_refused(tmp_path: Path) -> None:
    first, second = small_adapter(tmp_path / "1"), small_adapter(tmp_path / "2")
    name = f"{LAYER}.0.self_attn.q_proj.weight"
    _whole(name)(second)
    for ask in (
        lambda: load_checkpoint("demo", [str(first), str(second)]),
        lambda: merge_adapters("demo", [str(first), str(second)], tmp_path / "m"),
    ):
        with pytest.raises(AdapterError, match="one of the two would be lost"):
            ask()
    [finding] = check_adapters("demo", [str(first), str(second)])
    assert finding.level == "error"


def test_adapters_that_cannot_be_active_together_merge_in_order(tmp_path: Path) -> None:
    first, second = small_adapter(tmp_path / "1"), small_adapter(tmp_path / "2")
    name = "model.language_model.norm.weight"
    for adapter in (first, second):
        _whole(name)(adapter)
    names = [str(first), str(second)]
    with pytest.raises(AdapterError, match=r"both hold .*norm.* whole"):
        load_checkpoint("demo", names)
    [finding] = check_adapters("demo", names)
    assert finding.level == "error"
    merge_adapters("demo", names, tmp_path / "m")


def test_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither named nor unnamed ones, whoever asks."""
    opened: list[str] = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: opened.append(str(a)))
    adapter = small_adapter(tmp_path / "adapter")
    for name in ("optimizer.pt", "training_args.bin", "scheduler.pt"):
        beside(name, NEVER)(adapter)
    assert set(_verdicts(adapter, tmp_path / "m").values()) == {""}
    assert not opened
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    assert "pickled weights" in _verdicts(adapter, tmp_path / "m2")["load"]
    assert not opened
