"""What commands share: from options to an engine, to run options and to what is said at the end."""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shenhe.checkpoints.trainer_args import read_trainer_args
from shenhe.config import Missions, Teaching, load_teaching
from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.options import (
    ClusterOptions,
    EngineOptions,
    LocalOptions,
    ServerOptions,
    VllmOptions,
    choose_engine,
)
from shenhe.errors import PhotoError, UsageError, needs
from shenhe.locations import Location
from shenhe.photos import open_upright
from shenhe.printable import on_one_line, show
from shenhe.runs import RunCounts, RunOptions, VerdictPolicy
from shenhe.runs.observers import Observer
from shenhe.runs.observers.json_log import JsonLog
from shenhe.secrecy import redact_url

MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
DEMO_PHOTOS = Path(__file__).parent.parent / "demo" / "photos"


def make_engine(options: argparse.Namespace) -> Engine:
    """Load the model that the options name."""
    from shenhe.engines.create import create_engine

    if options.engine == "server":
        show(f"asking {redact_url(str(options.base_url))} ...", file=sys.stderr)
    else:
        quiet_transformers()
        show(f"loading {options.model} ...", file=sys.stderr)
    return create_engine(spec_of(options))


def spec_of(options: argparse.Namespace) -> EngineSpec[EngineOptions]:
    """Describe the engine that the options name."""
    return EngineSpec(
        model=options.model,
        adapters=adapters_of(options),
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
        max_pixels=options.max_pixels,
        batch_size=_batch_size(options),
        constrain=options.constrain,
        engine=choose_engine(
            options.engine,
            options.ray_engine,
            LocalOptions(
                dtype=options.dtype,
                attn_impl=options.attn_impl,
                device=options.device,
                quantize=options.quantize,
                speculate=options.speculate,
            ),
            ServerOptions(
                base_url=options.base_url,
                request_timeout=options.request_timeout,
                server_patience=options.server_patience,
                photo_packing=options.photo_packing,
                local_media=options.local_media,
                tower_lora=options.tower_lora,
            ),
            VllmOptions(dtype=options.dtype, vllm_options=tuple(options.vllm_option)),
            ClusterOptions(ray_address=options.ray_address, ray_workers=options.ray_workers),
        ),
    )


def _batch_size(options: argparse.Namespace) -> int | None:
    """Give the requests at once; None where as many as can be are asked for."""
    usual = options.local_batch_size if options.engine == "local" else "auto"
    size = options.batch_size or usual
    return None if size == "auto" else int(size)


def quiet_transformers() -> None:
    """Keep the libraries' own bars and remarks off the terminal."""
    # torchao, where it is installed, tells of kernels for other GPUs that it cannot load.
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if "transformers" not in sys.modules:  # read on import, which a merge may never need
        os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def model_of_args(options: argparse.Namespace) -> str:
    """Give --model, or the base that ms-swift wrote down beside the first adapter.

    Raises: UsageError if there is neither.
    """
    if options.model:
        return str(options.model)
    adapters = adapters_of(options)
    args = read_trainer_args(Path(adapters[0])) if adapters else None
    if args is None or not args.model:
        raise UsageError("--model: name the base; no args.json beside the adapter does")
    show(f"base {args.model}, as {args.path} says", file=sys.stderr)
    return args.model


def decisive(options: argparse.Namespace) -> dict[str, Any]:
    """The options that decide what rows say; speed, device and amount do not."""
    names = ["engine", "dtype", "attn_impl", "quantize", "temperature", "top_p", "seed"]
    names += ["max_pixels", "constrain"]
    return {name: getattr(options, name) for name in names} | {
        "model": options.model,
        "adapters": list(adapters_of(options)),
    }


def verdict_policy_of(options: argparse.Namespace) -> VerdictPolicy:
    """How sure a verdict must be."""
    return VerdictPolicy(options.pass_above, options.fail_below, options.votes)


def teaching_of(options: argparse.Namespace, missions: Missions) -> Teaching:
    """The rules and examples that the options name."""
    return load_teaching(options.examples, options.guidance, missions)


def run_options(options: argparse.Namespace) -> RunOptions:
    """How much to do, and who looks on until the process ends."""
    return RunOptions(
        options.limit,
        options.restart,
        options.max_attempts,
        options.ordered,
        observers=() if options.dry_run else tuple(_observers(options)),
        shard_bytes=options.shard_size,
        parquet=_parquet() if options.parquet else None,
    )


def _parquet() -> Callable[[Path], object]:
    with needs("parquet"):
        from shenhe.rows.parquet import write_parquet
    return write_parquet


def _observers(options: argparse.Namespace) -> Iterator[Observer]:
    """Make those who look on; their libraries are imported only when asked for.

    Raises: UsageError for one that cannot be had.
    """
    if options.log_file is not None:
        yield JsonLog(options.log_file)
    if options.metrics_port is not None:
        with needs("metrics"):
            from shenhe.runs.observers.metrics import Metrics
        yield Metrics(options.metrics_port)
    if options.traces:
        with needs("metrics"):
            from shenhe.runs.observers.tracing import Tracing
        tracing = Tracing()
        atexit.register(tracing.close)
        yield tracing


def tell(title: str, unit: str, counts: RunCounts, listed_in: Path) -> int:
    """Say on stderr what an output holds now, and give the exit code."""
    kept = counts.kept()
    parts = [f"{kept.done} {unit} done"]
    parts += [f"{counts.already} of them before"] if counts.already else []
    parts += [f"{kept.failed} failed"] if kept.failed else []
    parts += [f"{kept.undecided} undecided"] if kept.undecided else []
    show(f"{title}: {', '.join(parts)}", file=sys.stderr)
    told = {
        "done anew": counts.done_anew,
        "kept as they are": counts.kept_as_is,
        "passed over": counts.passed_over,
        "repaired": counts.repairs,
    }
    for what, counter in told.items():
        if counter:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counter.items()))
            show(f"  {what}: {kinds}", file=sys.stderr)
    if counts.damaged_inside:
        damaged = f"{counts.damaged_inside} photos, read all the same; `facts` in their rows tell"
        show(f"  damaged inside: {damaged}", file=sys.stderr)
    tell_faults(counts.faults)
    if kept.failed or kept.undecided:
        show(f"  listed in {listed_in}", file=sys.stderr)
    return int(not counts.complete)


def tell_faults(faults: Iterable[str]) -> int:
    """Say on stderr what is not where it is looked for, and give the exit code."""
    code = 0
    for fault in faults:
        show(on_one_line(f"shenhe: {fault}"), file=sys.stderr)
        code = 1
    return code


def adapters_of(options: argparse.Namespace, option: str = "adapters") -> tuple[str, ...]:
    """The adapters in order, however many each --adapters named."""
    return tuple(name for names in getattr(options, option) for name in names)


def photos_to_ask_about(named: Sequence[Location], count: int) -> list[Location]:
    """Take the photos that were named, or readable ones of the demo.

    Raises: PhotoError for a named one that cannot be read.
    """
    if named:
        for path in named:
            open_upright(path)
        return list(named)
    found: list[Location] = []
    for path in sorted(DEMO_PHOTOS.rglob("img-*")):
        try:
            open_upright(path)
        except PhotoError:
            continue
        found.append(path)
    return found[:: max(1, len(found) // count)][:count]
