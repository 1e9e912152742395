"""Where the time of the local engine goes: seconds by part, beside the least that each can take.

    python -m bench.real_profile JOB [bfloat16|float32] [int8]

Prints JSON. On one thread the processor's time is counted, which a busy machine changes less.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from bench.real_engines import requests_of
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions

PARTS: Final = (
    (r"visual\.(patch_embed|.*\.(qkv|proj|mlp|linear_fc[12])$|.*merger)", "tower, matrices"),
    (r"visual\..*\.attn$", "tower, attention"),
    (r"visual\..*(norm|act_fn)", "tower, norms and activations"),
    (r"visual", "tower, rest"),
    (r"lm_head", "LM head"),
    (r"language_model\..*(q|k|v|o|gate|up|down)_proj$", "matrices"),
    (r"language_model\..*self_attn$", "attention"),
    (r"language_model\..*(norm|act_fn)", "norms and activations"),
    (r"language_model\..*mlp$", "norms and activations"),
    (r"language_model", "rest of the layers"),
)


class PartTimes:
    """Time by part, of modules without the modules inside them."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.phase = "prompt"
        self._open: list[list[float]] = []
        self.clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter

    def watch(self, model: nn.Module) -> None:
        """Time the modules of a model, each under its part."""
        for name, module in model.named_modules():
            for pattern, part in PARTS:
                if re.search(pattern, name):
                    self._watch(module, part)
                    break

    def _watch(self, module: nn.Module, part: str) -> None:
        def enter(*_: object) -> None:
            self._open.append([self.clock(), 0.0])

        def leave(*_: object) -> None:
            start, inside = self._open.pop()
            seconds = self.clock() - start
            if self._open:
                self._open[-1][1] += seconds
            name = part if part.startswith("tower") else f"{self.phase}, {part}"
            self.seconds[name] += seconds - inside

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)


def profile(job: dict[str, Any], dtype: str, quantize: str | None) -> dict[str, float]:
    """Answer a job, and return seconds by part."""
    options = LocalOptions(dtype=dtype, quantize=quantize)  # type: ignore[arg-type]
    engine = LocalEngine(EngineSpec(model=job["model"], engine=options, constrain=False))
    times = PartTimes()
    runner = engine._runner
    base: Any = runner.base
    times.watch(base)
    forward = runner.forward

    def phased(sequences: Any, cache: Any) -> torch.Tensor:
        times.phase = "prompt" if any(s.in_prefill for s in sequences) else "answer"
        return forward(sequences, cache)

    runner.forward = phased  # type: ignore[method-assign]
    requests = requests_of(job)
    start = time.perf_counter()
    engine._preprocessor.prepare(requests[0])
    photo = time.perf_counter() - start
    start = times.clock()
    list(engine.answer(requests))
    whole = times.clock() - start
    known = sum(times.seconds.values())
    return {
        **times.seconds,
        "Python and all else": whole - known,
        "whole": whole,
        "(a photo, in a thread of its own)": photo,
    }


def main() -> None:
    """Profile the job of the command line."""
    path, dtype, *quantize = sys.argv[1:]
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    print(json.dumps(profile(job, dtype, quantize[0] if quantize else None)))


if __name__ == "__main__":
    main()
