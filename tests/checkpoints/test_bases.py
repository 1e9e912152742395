"""Quantised bases and folders that ask for code are refused before anything is loaded."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import shenhe
from shenhe.checkpoints.check import check_adapters, check_files
from shenhe.checkpoints.load import load_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.config import load_missions, load_prompts
from shenhe.doctor import Subject, diagnose
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import LocalOptions
from shenhe.errors import CheckpointError, UsageError
from tests.checkpoints.small_adapters import BASE, small_adapter
from tests.warm import SHENHE

Change = Callable[[Path], object]
W = "model.safetensors"


def _config(**options: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | options))

    return change


def _inside(part: str, **options: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config[part] |= options
        path.write_text(json.dumps(config))

    return change


def _write(name: str, content: Any) -> Change:
    return lambda folder: (folder / name).write_text(
        content if isinstance(content, str) else json.dumps(content)
    )


def _into(name: str, **options: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | options))

    return change


def _cast(dtype: torch.dtype) -> Change:
    def change(folder: Path) -> None:
        stored = load_file(folder / W)
        for name in stored:
            if "language_model" in name and name.endswith("proj.weight"):
                stored[name] = stored[name].to(dtype)
        save_file(stored, folder / W, metadata={"format": "pt"})

    return change


QUANTISED: dict[str, tuple[Change, str]] = {
    method: (_config(quantization_config={"quant_method": method} | settings), method)
    for method, settings in (
        ("fp8", {"weight_block_size": [128, 128]}),
        ("bitsandbytes", {"load_in_4bit": True}),
        ("gptq", {"bits": 4}),
        ("awq", {"bits": 4}),
        ("compressed-tensors", {"format": "pack-quantized"}),
        ("torchao", {}),
        ("modelopt", {"quant_algo": "NVFP4"}),
        ("mxfp4", {}),
        ("some_method_of_tomorrow", {}),
    )
} | {
    "no method named": (_config(quantization_config={"bits": 4}), "method not named"),
    "old bitsandbytes": (_config(quantization_config={"load_in_8bit": True}), "bitsandbytes 8-bit"),
    "in the text part": (
        _inside("text_config", quantization_config={"quant_method": "awq"}),
        "awq",
    ),
    "of another type": (_config(quantization_config="fp8"), "quantization_config fp8"),
    "ModelOpt's own file": (
        _write("hf_quant_config.json", {"quantization": {}}),
        "hf_quant_config",
    ),
    "GPTQ's own file": (_write("quantize_config.json", {"bits": 4}), "quantize_config"),
    "float8 without a word": (_cast(torch.float8_e4m3fn), "is float8"),
    "int8 without a word": (_cast(torch.int8), "is int8"),
}
CODE: dict[str, tuple[Change, str]] = {
    name: (_into(name, auto_map={"AutoThing": "evil.Thing"}), name)
    for name in (
        *("config.json", "preprocessor_config.json", "tokenizer_config.json"),
        *("processor_config.json", "video_preprocessor_config.json", "generation_config.json"),
        *("chat_template.json", "special_tokens_map.json", "anything.json"),
    )
} | {
    "in the text part": (
        _inside("text_config", auto_map={"AutoModel": "evil.Thing"}),
        "config.json",
    ),
    "in a list": (_into("processor_config.json", parts=[{"auto_map": "x"}]), "processor_config"),
    "null": (_into("tokenizer_config.json", auto_map=None), "tokenizer_config"),
    "a number": (_into("config.json", auto_map=5), "config.json"),
    "from another place": (
        _into(
            "preprocessor_config.json", auto_map={"AutoImageProcessor": "some/where--evil.Thing"}
        ),
        "preprocessor_config",
    ),
    "spelled with escapes": (
        _write("extra.json", '{"a": {"\\u0061ut\\u006F_map": "evil.Thing"}}'),
        "extra.json",
    ),
    "given twice": (
        _write("extra.json", '{"auto_map": "evil.Thing", "auto_map": {}}'),
        "extra.json",
    ),
    "in the vocabulary's file": (_into("tokenizer.json", auto_map={"a": "b"}), "tokenizer.json"),
    "a kernel of the Hub": (
        _inside("text_config", attn_implementation="evil/kernel"),
        "foreign kernel",
    ),
    "generation of its own": (
        lambda f: ((f / "custom_generate").mkdir(), (f / "custom_generate/generate.py").touch()),
        "code of its own",
    ),
    "an adapter within": (lambda f: (f / "adapter_config.json").write_text("{}"), "adapter"),
}


def _verdicts(base: Path, adapter: Path, output: Path) -> dict[str, str]:
    verdicts = {}
    for name, ask in (
        ("load", lambda: load_checkpoint(str(base))),
        ("load with an adapter", lambda: load_checkpoint(str(base), [str(adapter)])),
        ("merge", lambda: merge_adapters(str(base), [str(adapter)], output)),
        ("verify", lambda: list(check_files(str(base)))),
    ):
        with pytest.raises(CheckpointError) as caught:
            ask()
        verdicts[name] = str(caught.value)
    spec = EngineSpec(
        model=str(base), adapters=(str(adapter),), engine=LocalOptions(dtype="float32")
    )
    subject = Subject(spec, load_prompts(), load_missions(), (), 100, load=False)
    findings = [diagnosis.finding for diagnosis in diagnose(subject) if diagnosis.check == "files"]
    verdicts["doctor"] = "; ".join(
        finding.message for finding in findings if finding.level == "error"
    )
    return verdicts


@pytest.mark.parametrize("name", [*QUANTISED, *(f"code: {name}" for name in CODE)])
def test_all_refuse_the_same_before_anything_is_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = QUANTISED[name] if name in QUANTISED else CODE[name.removeprefix("code: ")]
    base = Path(shutil.copytree(BASE, tmp_path / "Qwen3-VL-4B-Instruct-FP8"))
    change(base)
    # No question may be asked.
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question on stdin"))
    verdicts = _verdicts(base, small_adapter(tmp_path / "adapter"), tmp_path / "merged")
    assert len(set(verdicts.values())) == 1, verdicts
    assert message in verdicts["load"]
    assert "\n" not in verdicts["load"]
    if name in QUANTISED:
        assert (
            "unquantised checkpoint that it was made from (Qwen3-VL-4B-Instruct)"
            in verdicts["load"]
        )
    assert not (tmp_path / "merged").exists()


def test_a_token_named_auto_map_is_no_code(tmp_path: Path) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    (base / "vocab.json").write_text('{"auto_map": 17, "\\u0061": 3}')
    assert not [f for f in check_files(str(base), values=False) if f.level == "error"]


@pytest.mark.parametrize("file", ["adapter_config.json", "tokenizer_config.json", "x.json"])
def test_code_in_an_adapters_folder_is_refused(file: str, tmp_path: Path) -> None:
    adapter = small_adapter(tmp_path / "adapter")
    _into(file, auto_map={"AutoTokenizer": "evil.Thing"})(adapter)
    for ask in (
        lambda: load_checkpoint("demo", [str(adapter)]),
        lambda: merge_adapters("demo", [str(adapter)], tmp_path / "m"),
    ):
        with pytest.raises(CheckpointError, match=f"{file} asks for remote code"):
            ask()
    [finding] = check_adapters("demo", [str(adapter)])
    assert "asks for remote code" in finding.message


def test_code_is_not_run_when_stdin_says_yes(tmp_path: Path) -> None:
    """The command line of old: `auto_map` in preprocessor_config.json asked, and ran on "y"."""
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    mark = tmp_path / "ran"
    (base / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Thing: pass\n")
    _into("preprocessor_config.json", auto_map={"AutoImageProcessor": "evil.Thing"})(base)
    run = subprocess.run(
        [*SHENHE, "chat", "--model", str(base), "--prompt", "你好"],
        input="y\ny\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "asks for remote code" in run.stderr
    assert len(run.stderr.strip().splitlines()[-1:]) == 1
    assert not mark.exists()


def test_every_loader_passes_trust_remote_code_false() -> None:
    calls = [
        node
        for path in Path(shenhe.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("from_pretrained", "from_config")
        and ast.unparse(node.func.value).startswith("Auto")
    ]
    assert len(calls) >= 6
    for call in calls:
        values = [word.value for word in call.keywords if word.arg == "trust_remote_code"]
        assert [ast.unparse(value) for value in values] == ["False"], ast.unparse(call)


def test_a_kernel_by_name_is_foreign_code() -> None:
    with pytest.raises(UsageError, match="foreign code"):
        load_checkpoint("demo", attn_impl="kernels-community/flash-attn")


def test_a_chat_template_runs_in_a_sandbox(tmp_path: Path) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    reach = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    (base / "chat_template.jinja").write_text(reach)
    tokenizer = load_checkpoint(str(base)).processor.tokenizer
    with pytest.raises(Exception, match="unsafe") as caught:
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert type(caught.value).__name__ == "SecurityError"


def test_a_base_with_other_shapes_than_its_config_is_refused(tmp_path: Path) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    stored = load_file(base / W)
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    stored[name] = stored[name][:-8].contiguous()
    save_file(stored, base / W, metadata={"format": "pt"})
    adapter = small_adapter(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match="do not fit its own config"):
        merge_adapters(str(base), [str(adapter)], tmp_path / "m")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_checkpoint(str(base), [str(adapter)])
