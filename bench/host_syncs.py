"""Calls of a forward pass at which a GPU would be waited for, counted on the CPU, by their lines.

    python -m bench.host_syncs [--photos 4]

The bundled checkpoint answers Stage-A lines in one batch. Counted are reads of a tensor (`item`,
`tolist`, `bool`, `int`), moves to another device (`to`, `cpu`, `tensor(device=)`), and masks as an
index, whose size a device has to tell. Calls on tensors that stay on the CPU are among them: their
lines tell which wait. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from bench.real_checkpoint import make_photos
from bench.real_engines import requests_of
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions

READS = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "nonzero", "unique"}
MOVES = {"to", "cpu", "cuda", "tensor", "as_tensor"}
INDICES = {"__getitem__", "__setitem__", "repeat_interleave"}
SITES = ("shenhe/engines/local", "transformers/models", "transformers/vision_utils")


class Counting(TorchFunctionMode):
    """Counts calls by pass and line."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, Counter[tuple[str, str]]] = {
            "prompt": Counter(),
            "answer": Counter(),
        }
        self.passes: Counter[str] = Counter()
        self.phase = "prompt"

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in READS or (name in MOVES and _moves(args, kwargs or {})) or _masks(name, args):
            self.calls[self.phase][name.strip("_"), _site()] += 1
        return func(*args, **(kwargs or {}))


def _moves(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call names a device, and not a dtype alone."""
    given = [*args[1:], *kwargs.values()]
    return not given or any(isinstance(value, torch.device) for value in given)


def _masks(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a mask is an index here."""
    if name == "repeat_interleave":
        return True
    if name not in INDICES:
        return False
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    return any(isinstance(part, torch.Tensor) and part.dtype == torch.bool for part in index)


def _site() -> str:
    """Name the line that calls, of ours or of the model's."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        path = frame.f_code.co_filename
        if any(site in path for site in SITES):
            return f"{'/'.join(Path(path).parts[-2:])}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


def main() -> None:
    """Count, and print what a pass costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=4)
    options = parser.parse_args()
    engine = LocalEngine(EngineSpec(model="demo", adapters=("demo",), engine=LocalOptions()))
    engine.merge_adapters()
    counting = Counting()
    runner = engine._runner
    forward = runner.forward

    def phased(sequences: Any, cache: Any) -> torch.Tensor:
        counting.phase = "prompt" if any(s.in_prefill for s in sequences) else "answer"
        counting.passes[counting.phase] += 1
        return forward(sequences, cache)

    runner.forward = phased  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder), (256, 256), options.photos)
        requests = requests_of({"photos": photos, "tokens": 64})
        with counting:
            list(engine.answer(requests))
    print("| call | line | a pass with prompts | a pass of answers |\n|---|---|---|---|")
    lines = sorted({line for calls in counting.calls.values() for line in calls}, key=str)
    for line in lines:
        shares = [
            f"{counting.calls[phase][line] / counting.passes[phase]:.1f}"
            for phase in ("prompt", "answer")
        ]
        print(f"| `{line[0]}` | {line[1]} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
