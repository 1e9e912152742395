"""shenhe beside plain transformers, ms-swift and vLLM: one checkpoint, photos, prompts, greedy.

    python -m bench.engines --folder SOMEWHERE [--checkpoint demo|0.1B|0.5B] [--photos 64]
        [--job caption|line] [--tokens 400] [--batches 16 32 64] [--swift PYTHON] [--vllm PYTHON]

Photos are given to all as they leave `shenhe.photos`: upright, of the model's own size. `demo` is
the bundled checkpoint, merged, with Qwen's own token ids, which ms-swift needs; the others have
random weights in Qwen3-VL's proportions, and write until the limit. Every engine is a process of
its own; loading is not counted (of ms-swift, which does not tell, a run that writes one token is
taken off). Rounds are interleaved, the median counts; ms-swift and vLLM have one. `same` are
answers equal to the letter to plain transformers' at the first batch size. `--batches 1` compares
answers one at a time. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROUNDS = 3
MISSION = "挡风板安装检查"
SHAPES: dict[str, dict[str, Any]] = {
    # Hidden size, inner size, layers, heads, key-value heads; the same of the tower, its depth.
    "0.1B": {"text": (512, 1536, 12, 8, 4), "tower": (384, 1536, 12, 6)},
    "0.5B": {"text": (1024, 3072, 24, 16, 8), "tower": (768, 3072, 12, 12)},
}
SHENHE = """
import json, resource, sys, time
from pathlib import Path
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import LocalOptions
from shenhe.engines.local.engine import LocalEngine
from shenhe.messages import Answer
from shenhe.stages import caption, summary
job, options = json.load(open(sys.argv[1])), json.loads(sys.argv[2])
local = LocalOptions(dtype=job["dtype"], speculate=options.pop("speculate", False))
engine = LocalEngine(EngineSpec(model=job["model"], engine=local, **options))
prompts, mission = load_prompts(), load_missions().get(job["mission"])
def request(photo):
    if job["job"] == "caption":
        return caption.request(photo, [Path(photo)], prompts.caption, job["tokens"])
    return summary.request(photo, Path(photo), mission, prompts.summary, job["tokens"])
requests = [request(photo) for photo in job["photos"]]
list(engine.answer([request(job["warm"])]))
before = engine.forward_passes
began = time.perf_counter()
answers = {a.key: a for a in engine.answer(requests) if isinstance(a, Answer)}
seconds = time.perf_counter() - began
print(json.dumps({
    "seconds": seconds,
    "texts": [answers[photo].text for photo in job["photos"]],
    "tokens": sum(answer.new_tokens for answer in answers.values()),
    "passes": engine.forward_passes - before,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
}))
"""
PLAIN = """
import json, resource, sys, time
import torch
from PIL import Image
from shenhe.checkpoints.load import load_checkpoint
job, batch = json.load(open(sys.argv[1])), int(sys.argv[2])
loaded = load_checkpoint(job["model"], dtype=job["dtype"])
model, processor = loaded.model, loaded.processor
passes = 0
forward = model.forward
def counted(*args, **named):
    global passes
    passes += 1
    return forward(*args, **named)
def answer(photos):
    images = [Image.open(photo).convert("RGB") for photo in photos]
    inputs = processor(text=[job["text"]] * len(images), images=images, padding=True,
                       do_resize=False, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=job["tokens"], do_sample=False)
    written = output[:, inputs["input_ids"].shape[1]:]
    ends = set(model.generation_config.eos_token_id)
    rows = [row[:next((n for n, t in enumerate(row) if t in ends), len(row))]
            for row in written.tolist()]
    return rows, written.shape[1]
answer([job["warm"]])
began = time.perf_counter()
rows = []
for at in range(0, len(job["photos"]), batch):
    batch_rows, steps = answer(job["photos"][at : at + batch])
    rows += batch_rows
    passes += steps
seconds = time.perf_counter() - began
print(json.dumps({
    "seconds": seconds,
    "texts": [processor.tokenizer.decode(row) for row in rows],
    "tokens": sum(map(len, rows)),
    "passes": passes,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
}))
"""
VLLM = """
import json, os, resource, sys, time
os.environ["VLLM_CPU_KVCACHE_SPACE"] = "2"
from PIL import Image
from vllm import LLM, SamplingParams
def main():
    job = json.load(open(sys.argv[1]))
    model = LLM(job["model"], dtype=job["dtype"], enforce_eager=True, max_model_len=4096,
                limit_mm_per_prompt={"image": 1, "video": 0})
    how = SamplingParams(temperature=0, max_tokens=job["tokens"], skip_special_tokens=False)
    def prompt(photo):
        image = Image.open(photo).convert("RGB")
        return {"prompt": job["text"], "multi_modal_data": {"image": image}}
    model.generate([prompt(job["warm"])], how)
    began = time.perf_counter()
    outputs = model.generate([prompt(photo) for photo in job["photos"]], how)
    seconds = time.perf_counter() - began
    outputs = [output.outputs[0] for output in outputs]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    print(json.dumps({
        "seconds": seconds,
        "texts": [output.text.removesuffix("<|im_end|>") for output in outputs],
        "tokens": sum(len(output.token_ids) for output in outputs),
        "passes": None,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 + children,
    }))
if __name__ == "__main__":
    main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--checkpoint", choices=("demo", *SHAPES), default="demo")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--job", choices=("caption", "line"), default="caption")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--swift", help="python of an environment with ms-swift")
    parser.add_argument("--vllm", help="python of an environment with vLLM")
    options = parser.parse_args()
    job = _prepare(options)
    ways = _ways(options, job)
    results_by_way: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for round_number in range(options.rounds):
        for name, command in ways.items():
            # A process that takes a minute to start has one round.
            if round_number and ("vLLM" in name or "swift" in name):
                continue
            result = _swift(command, job) if "swift" in name else _run(command)
            if result is not None:
                results_by_way[name].append(result)
                print(name, f"{result['seconds']:.2f} s", file=sys.stderr, flush=True)
    _print_table(
        {name: results for name, results in results_by_way.items() if results}, options.photos
    )


def _ways(options: argparse.Namespace, job: Path) -> dict[str, list[str]]:
    def shenhe(**how: Any) -> list[str]:
        return [sys.executable, "-c", SHENHE, str(job), json.dumps(how)]

    ways = {
        f"transformers, batch {batch}": [sys.executable, "-c", PLAIN, str(job), str(batch)]
        for batch in options.batches
    }
    if options.batches == [1]:
        ways["shenhe, batch 1"] = shenhe(batch_size=1)
        ways["shenhe, batch 1, --speculate"] = shenhe(batch_size=1, speculate=True)
        ways["shenhe, batch 1, --no-constrain"] = shenhe(batch_size=1, constrain=False)
        return ways
    ways["shenhe"] = shenhe()
    ways["shenhe, --speculate"] = shenhe(speculate=True)
    ways["shenhe, --no-constrain"] = shenhe(constrain=False)
    if options.swift:
        for batch in options.batches:
            swift = str(Path(options.swift).with_name("swift"))
            ways[f"swift infer, batch {batch}"] = [swift, str(batch)]
    if options.vllm:
        ways["vLLM on the CPU"] = [options.vllm, "-c", VLLM, str(job)]
    return ways


def _prepare(options: argparse.Namespace) -> Path:
    """Write the checkpoint, the photos and the job."""
    from recipes.demo_checkpoint.draw import draw
    from recipes.demo_checkpoint.lessons import photo_scene
    from shenhe.checkpoints.load import load_checkpoint
    from shenhe.config import load_missions, load_prompts
    from shenhe.engines.prompts import as_template_message
    from shenhe.photos import load
    from shenhe.stages.photo_prompt import photo_messages

    folder = options.folder / options.checkpoint
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "photos").mkdir(parents=True)
    model = folder / "model"
    make_checkpoint(options.checkpoint, model)
    processor = load_checkpoint(str(model))
    photos = []
    for index in range(options.photos + 1):
        drawn, path = folder / "drawn.png", folder / "photos" / f"{index:05d}.png"
        image = draw(photo_scene("test", index))
        (image if options.checkpoint == "demo" else image.resize((1280, 1024))).save(drawn)
        load(drawn, processor.budget).image.save(path)
        photos.append(str(path))
    prompts, mission = load_prompts(), load_missions().get(MISSION)
    template = prompts.caption if options.job == "caption" else prompts.summary
    messages = photo_messages(template.system, template.fill(mission), [Path(photos[0])])
    text = processor.processor.tokenizer.apply_chat_template(
        [as_template_message(message) for message in messages],
        tokenize=False,
        add_generation_prompt=True,
    )
    job = {
        "model": str(model),
        "dtype": options.dtype,
        "job": options.job,
        "mission": MISSION,
        "tokens": options.tokens,
        "photos": photos[1:],
        "warm": photos[0],
        "text": text,
        "system": template.system,
        "user": f"图片_1: <image>\n{template.fill(mission)}",
        "image_tokens": processor.budget.max_pixels // 1024,
    }
    path = Path(folder, "job.json")
    path.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
    return path


def make_checkpoint(name: str, folder: Path) -> None:
    """Write a checkpoint with Qwen's own token ids: the bundled one merged, or a random one."""
    from shenhe.checkpoints.merge import merge_adapters
    from tests.peers.real_ids import with_real_ids

    merged = folder.with_name("merged")
    merge_adapters("demo", ["demo"], merged, dtype="float32")
    with_real_ids(merged, folder)
    shutil.rmtree(merged)
    if name == "demo":
        return
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    hidden, inner, layers, heads, shared = SHAPES[name]["text"]
    width, wide, depth, eyes = SHAPES[name]["tower"]
    config = Qwen3VLConfig.from_pretrained(folder)
    text, tower = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = hidden, inner, layers
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = heads, shared, 64
    text.rope_parameters = {**text.rope_parameters, "mrope_section": [12, 10, 10]}
    text.layer_types = ["full_attention"] * layers
    tower.hidden_size, tower.intermediate_size, tower.depth, tower.num_heads = (
        *(width, wide, depth, eyes),
    )
    tower.out_hidden_size, tower.deepstack_visual_indexes = hidden, [2, 5, 8]
    torch.manual_seed(3)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**config.to_dict()))
    for path in folder.glob("*.safetensors"):
        path.unlink()
    generation = (folder / "generation_config.json").read_text()
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(generation)
    budget = json.loads((folder / "preprocessor_config.json").read_text())
    budget["size"] = {"shortest_edge": 65536, "longest_edge": 1280 * 960}
    (folder / "preprocessor_config.json").write_text(json.dumps(budget))


def _run(command: list[str]) -> dict[str, Any] | None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-1500:], file=sys.stderr)
        return None
    # vLLM prints further lines.
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def _swift(command: list[str], job_path: Path) -> dict[str, Any] | None:
    """Run ms-swift over all photos, and for one token: the difference is what they took."""
    job = json.loads(job_path.read_text(encoding="utf-8"))
    swift, batch = command
    taken, texts = [], []
    for photos, limit in (([job["warm"]], 1), (job["photos"], job["tokens"])):
        dataset, answers = job_path.with_name("rows.jsonl"), job_path.with_name("out.jsonl")
        answers.unlink(missing_ok=True)
        messages = [{"role": "system", "content": job["system"]}]
        messages.append({"role": "user", "content": job["user"]})
        rows = (json.dumps({"messages": messages, "images": [photo]}) for photo in photos)
        dataset.write_text("\n".join(rows) + "\n", encoding="utf-8")
        arguments = ["infer", "--model", job["model"], "--model_type", "qwen3_vl"]
        arguments += ["--infer_backend", "transformers", "--torch_dtype", job["dtype"]]
        arguments += ["--val_dataset", str(dataset), "--result_path", str(answers)]
        arguments += ["--max_new_tokens", str(limit), "--temperature", "0"]
        arguments += ["--max_batch_size", batch]
        tokens = {"IMAGE_MAX_TOKEN_NUM": str(job["image_tokens"]), "IMAGE_MIN_TOKEN_NUM": "4"}
        began = time.perf_counter()
        done = subprocess.run(
            [swift, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | tokens,
        )
        taken.append(time.perf_counter() - began)
        if done.returncode:
            print(done.stderr[-1500:], file=sys.stderr)
            return None
        rows_out = answers.read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["response"] for line in rows_out]
    return {
        "seconds": max(taken[1] - taken[0], 1e-3),
        "texts": texts,
        "tokens": None,
        "passes": None,
        "peak_mb": None,
    }


def _print_table(results_by_way: dict[str, list[dict[str, Any]]], photos: int) -> None:
    exact = next(iter(results_by_way.values()))[0]["texts"]
    plain = max(
        photos / statistics.median(result["seconds"] for result in results)
        for name, results in results_by_way.items()
        if name.startswith("transformers")
    )
    print("| | photos/s | times the best of transformers | tokens/s | passes | same | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for name, results in results_by_way.items():
        seconds = statistics.median(result["seconds"] for result in results)
        last = results[-1]
        equal = sum(a == b for a, b in zip(last["texts"], exact, strict=True))
        tokens = f"{last['tokens'] / seconds:.0f}" if last["tokens"] else "-"
        peak = f"{last['peak_mb']:.0f}" if last["peak_mb"] else "-"
        print(
            f"| {name} | {photos / seconds:.2f} | {photos / seconds / plain:.2f} | {tokens} |"
            f" {last['passes'] or '-'} | {equal}/{photos} | {peak} |"
        )


if __name__ == "__main__":
    main()
