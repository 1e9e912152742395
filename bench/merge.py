"""Merging a rank-16 adapter into random checkpoints of Qwen3-VL's own shapes, against `cp -r`.

    python -m bench.merge --folder SOMEWHERE [--sizes 2B 4B 8B] [--with-peft 2B 4B] [--swift SWIFT]
        [--old SRC]

Needs twice the size of the largest checkpoint on disk (4.3, 8.9 and 17.5 GB); a size without that
room is left out, in words. Every command is a process, its peak memory the kernel's figure, and so
is its time on processors, which says more on a busy machine. `cp -r` is timed with a `sync`, since
a merge does one as well. Three interleaved rounds, but one of PEFT and ms-swift: median, minimum
and maximum. `--old SRC` times the merge of another source tree as well. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROUNDS = 3
RANK = 16
SMALL_TOWER = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16}
LARGE_TOWER = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
SHAPES: dict[str, dict[str, Any]] = {
    "2B": {"text": (2048, 6144, 28, 16), "tower": SMALL_TOWER, "deep": [5, 11, 17], "tied": True},
    "4B": {"text": (2560, 9728, 36, 32), "tower": SMALL_TOWER, "deep": [5, 11, 17], "tied": True},
    "8B": {"text": (4096, 12288, 36, 32), "tower": LARGE_TOWER, "deep": [8, 16, 24], "tied": False},
}
ROOM = {"2B": 10, "4B": 19, "8B": 37}
"""GB for a base and its merge or copy."""
BY_PEFT = """
import sys
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
model = PeftModel.from_pretrained(model, sys.argv[2]).merge_and_unload()
model.save_pretrained(sys.argv[3], max_shard_size="5GB")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", choices=SHAPES, default=["2B", "4B", "8B"])
    parser.add_argument("--with-peft", nargs="*", choices=SHAPES, default=[])
    parser.add_argument("--swift", help="ms-swift's command, timed where PEFT is")
    parser.add_argument("--old", type=Path, help="src/ of another version")
    options = parser.parse_args()
    print("| shape | GB | what | seconds | times `cp` | GB/s | processor, s | peak MB |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for size in options.sizes:
        options.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(options.folder).free / 1e9
        if free < ROOM[size]:
            print(f"| {size} | | left out: needs {ROOM[size]} GB, {free:.0f} are free | | | | | |")
            continue
        base, adapter = options.folder / f"base-{size}", options.folder / f"lora-{size}"
        if not (base / "config.json").exists():
            # In a separate process: the memory of this one would count in its children's peak.
            maker = multiprocessing.get_context("spawn").Process(
                target=make, args=(size, base, adapter)
            )
            maker.start()
            maker.join()
        out = options.folder / "out"
        commands = {
            "`cp -r`, `sync`": ["sh", "-c", f"cp -r '{base}' '{out}' && sync -f '{out}'"],
            "`shenhe merge`": [
                *(sys.executable, "-m", "shenhe", "merge", "--model", str(base)),
                *("--adapters", str(adapter), "--output-dir", str(out)),
            ],
        }
        if options.old:
            command = ["env", f"PYTHONPATH={options.old}", *commands["`shenhe merge`"]]
            commands["`shenhe merge`, old"] = command
        if size in options.with_peft:
            command = [sys.executable, "-c", BY_PEFT, str(base), str(adapter), str(out)]
            commands["PEFT merge_and_unload, save"] = command
        if size in options.with_peft and options.swift:
            commands["`swift export --merge_lora true`"] = [
                *(options.swift, "export", "--model", str(base), "--adapters", str(adapter)),
                *("--model_type", "qwen3_vl", "--torch_dtype", "bfloat16"),
                *("--merge_lora", "true", "--output_dir", str(out)),
            ]
        _time(size, base, out, commands)
        for folder in (base, adapter, out):
            shutil.rmtree(folder, ignore_errors=True)


def _time(size: str, base: Path, out: Path, commands: dict[str, list[str]]) -> None:
    nbytes = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    for path in base.glob("*.safetensors"):  # the base is in the page cache for all commands
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    processor: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, float] = {}
    for number in range(ROUNDS):
        for name, command in commands.items():
            if number and ("PEFT" in name or "swift" in name):
                continue
            shutil.rmtree(out, ignore_errors=True)
            os.sync()
            duration, busy, peaks[name] = _run(command)
            seconds[name].append(duration)
            processor[name].append(busy)
    baseline = statistics.median(next(iter(seconds.values())))
    for name, times in seconds.items():
        median = statistics.median(times)
        spread = f" ({min(times):.1f} to {max(times):.1f})" if len(times) > 1 else ""
        print(
            f"| {size} | {nbytes / 1e9:.1f} | {name} | {median:.1f}{spread} |"
            f" {median / baseline:.2f} | {nbytes / 1e9 / median:.2f} |"
            f" {statistics.median(processor[name]):.1f} | {peaks[name]:.0f} |",
            flush=True,
        )


def _run(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its time, that of processors, and its peak memory.

    Units: seconds, MB.
    """
    # An installed package is compiled, and so is this tree from the second run on.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.monotonic()
    null = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawnp(
        command[0], command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)]
    )
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"failed: {command}")
    busy = usage.ru_utime + usage.ru_stime
    return time.monotonic() - start, busy, usage.ru_maxrss / 1000


def make(size: str, base: Path, adapter: Path) -> None:
    """Write a random checkpoint of a shape, and an adapter on all its linear layers."""
    import numpy as np
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    from shenhe.checkpoints.inspect import DEMO_FOLDER
    from shenhe.checkpoints.shards import SEGMENT_BYTES, ShardWriter, plan_shards
    from shenhe.checkpoints.tensors import BFLOAT16, TensorSpec

    shape = SHAPES[size]
    hidden, intermediate, layers, heads = shape["text"]
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": 151936,
            "hidden_size": hidden,
            "intermediate_size": intermediate,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "tie_word_embeddings": shape["tied"],
        },
        vision_config=shape["tower"]
        | {"out_hidden_size": hidden, "deepstack_visual_indexes": shape["deep"]},
        tie_word_embeddings=shape["tied"],
        dtype="bfloat16",
    )
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    weights = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not (shape["tied"] and name == "lm_head.weight")
    }
    base.mkdir(parents=True)
    planned = [TensorSpec(name, BFLOAT16, side) for name, side in weights.items()]
    shards = plan_shards(planned, 5_000_000_000)
    values = (torch.randn(1 << 25) * 0.02).to(torch.bfloat16)
    noise = values.view(torch.int16).numpy().view(np.uint8)

    def fill(offset: int, target: memoryview) -> None:
        start = offset % (len(noise) - SEGMENT_BYTES)
        target[:] = noise.data[start : start + len(target)]

    for file_name, shard in shards.items():
        with ShardWriter(base / file_name, shard) as writer:
            writer.write({tensor.name: fill for tensor in shard}, lambda nbytes: None)
    if len(shards) > 1:
        weight_map = {tensor.name: name for name, shard in shards.items() for tensor in shard}
        index = {"metadata": {}, "weight_map": weight_map}
        (base / "model.safetensors.index.json").write_text(json.dumps(index))
    for path in (DEMO_FOLDER / "base").iterdir():
        if path.suffix in (".json", ".jinja"):
            shutil.copyfile(path, base / path.name)
    config.architectures = ["Qwen3VLForConditionalGeneration"]
    config.save_pretrained(base)
    linear = [
        name.removesuffix(".weight")
        for name, side in weights.items()
        if len(side) == 2 and "embed" not in name and "lm_head" not in name
    ]
    lora = {}
    for name in linear:
        out, width = weights[f"{name}.weight"]
        lora[f"base_model.model.{name}.lora_A.weight"] = torch.randn(RANK, width) * 0.02
        lora[f"base_model.model.{name}.lora_B.weight"] = torch.randn(out, RANK) * 0.02
    adapter.mkdir()
    save_file(lora, adapter / "adapter_model.safetensors")
    LoraConfig(r=RANK, lora_alpha=32, target_modules=linear).save_pretrained(adapter)


if __name__ == "__main__":
    main()
