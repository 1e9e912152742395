"""Where the time of Stage-A lines goes: the model's three parts, and all that is around them.

    python -m bench.line_shares --folder DIR [--photos 64] [--batches 32 64] [--rounds 2]

`DIR` is that of a run of `bench.engines --job line`: its checkpoint, photos and prompts are used.
Seconds of the processor of the thread that drives the model, with one thread for arithmetic: so a
busy machine changes them little. Photos are opened in other threads by shenhe, and in this one by
plain transformers: they are among the rest there. `without the rest` is what an engine would take
that does no more than the parts of shenhe, as a multiple of the best of transformers. Prints a
table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from shenhe.checkpoints.load import load_checkpoint
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import Request
from shenhe.stages import summary

PARTS = ("tower", "language model", "LM head")
Seconds = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    job = json.loads((options.folder / options.checkpoint / "job.json").read_text("utf-8"))
    photos = job["photos"][: options.photos]
    ways = {"shenhe": _shenhe(job, photos)}
    for batch in options.batches:
        ways[f"transformers, batch {batch}"] = _transformers(job, photos, batch)
    best = {
        name: min((run() for _ in range(options.rounds)), key=lambda seconds: seconds["all"])
        for name, run in ways.items()
    }
    plain = min(best[name]["all"] for name in ways if name != "shenhe")
    print(f"| | {' | '.join(f'{part}, s' for part in PARTS)} | the rest, s | all, s | times |")
    print("|---|---|---|---|---|---|---|")
    for name, seconds in best.items():
        rest = seconds["all"] - sum(seconds[part] for part in PARTS)
        values = [*(seconds[part] for part in PARTS), rest, seconds["all"]]
        cells = " | ".join(f"{value:.2f}" for value in values)
        print(f"| {name} | {cells} | {plain / seconds['all']:.2f} |")
    parts = sum(best["shenhe"][part] for part in PARTS)
    print(f"| shenhe without the rest | | | | | {parts:.2f} | {plain / parts:.2f} |")


def _shenhe(job: dict[str, Any], photos: Sequence[str]) -> Callable[[], Seconds]:
    local = LocalOptions(dtype=job["dtype"])
    engine = LocalEngine(EngineSpec(model=job["model"], engine=local))
    prompts, mission = load_prompts(), load_missions().get(job["mission"])

    def request(photo: str) -> Request:
        return summary.request(photo, Path(photo), mission, prompts.summary, job["tokens"])

    def run() -> Seconds:
        engine._kept.clear()
        return seconds.of(lambda: list(engine.answer([request(photo) for photo in photos])))

    seconds = _Clocks(engine._base)
    list(engine.answer([request(job["warm"])]))
    return run


def _transformers(job: dict[str, Any], photos: Sequence[str], batch: int) -> Callable[[], Seconds]:
    loaded = load_checkpoint(job["model"], dtype=job["dtype"])
    model: Any = loaded.model

    def answer(chosen: Sequence[str]) -> None:
        images = [Image.open(photo).convert("RGB") for photo in chosen]
        inputs = loaded.processor(
            text=[job["text"]] * len(images),
            images=images,
            padding=True,  # type: ignore[call-arg]
            do_resize=False,
            return_tensors="pt",
        )
        with torch.inference_mode():
            model.generate(**inputs, max_new_tokens=job["tokens"], do_sample=False)

    def answer_all() -> None:
        for at in range(0, len(photos), batch):
            answer(photos[at : at + batch])

    def run() -> Seconds:
        return seconds.of(answer_all)

    seconds = _Clocks(model)
    answer([job["warm"]])
    return run


class _Clocks:
    """Clocks around the parts of a model."""

    def __init__(self, model: Any) -> None:
        modules = (model.model.visual, model.model.language_model, model.lm_head)
        self._taken: Seconds = dict.fromkeys(PARTS, 0.0)
        for part, module in zip(PARTS, modules, strict=True):
            module.forward = self._clocked(part, module.forward)

    def _clocked(self, part: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*args: Any, **named: Any) -> Any:
            began = time.thread_time()
            output = forward(*args, **named)
            self._taken[part] += time.thread_time() - began
            return output

        return clocked

    def of(self, work: Callable[[], object]) -> Seconds:
        """Take the seconds of some work, and of the parts in it."""
        self._taken = dict.fromkeys(PARTS, 0.0)
        began = time.thread_time()
        work()
        return self._taken | {"all": time.thread_time() - began}


if __name__ == "__main__":
    main()
