"""The model and engine of `shenhe infer`, from the options and the environment of ms-swift."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from shenhe.cli.loading import (
    InferLoadOptions,
    model_of_args,
    one_thread_of_numpy,
    quiet_transformers,
)
from shenhe.cli.swift_environment import read_environment
from shenhe.errors import OptionError, spelled
from shenhe.options import Name, Whole, option, option_class
from shenhe.printable import on_one_line, show

if TYPE_CHECKING:
    from shenhe.checkpoints.trainer_args import TrainerArgs

ADAPTER_FILES: Final = ("adapter_config.json", "default/adapter_config.json")
SERVERS: Final = {"sglang": "SGLang's", "lmdeploy": "LMDeploy's"}
_DEVICE: Final = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")


@option_class
class SwiftLoadOptions:
    """Options of ms-swift that say how a model is loaded and sampled."""

    ckpt_dir: Name | None = option(
        "an adapter, or a merged checkpoint", default=None, metavar="DIR"
    )
    load_args: bool = option(
        "take base and system prompt from the args.json beside a checkpoint", default=True
    )
    merge_lora: bool = option(
        "merge the adapters first, into ADAPTER-merged, and use that", default=False
    )
    infer_backend: Literal["pt", "transformers", "vllm", "sglang", "lmdeploy"] | None = option(
        "pt, transformers: --engine local; vllm: --engine vllm; sglang, lmdeploy: start its server"
        " for --engine server",
        default=None,
    )
    max_batch_size: Annotated[int, Whole(-1)] | None = option(
        "--batch-size; -1: auto", default=None, metavar="N"
    )
    top_k: Annotated[int, Whole(-1)] | None = option(
        "1: greedy; others only beside a temperature of 0, where they change nothing",
        default=None,
        metavar="K",
    )
    device_map: str | None = option("--device: auto, cpu, cuda:0", default=None, metavar="NAME")
    model_kwargs: str | None = option(
        'JSON that sets variables of ms-swift, as {"max_pixels": 1003520}',
        default=None,
        metavar="JSON",
    )


def translate_load(
    load: InferLoadOptions, swift: SwiftLoadOptions, *, for_rows: bool = True
) -> InferLoadOptions:
    """Write what ms-swift's options and environment ask for as options of this command.

    A conversation is not `for_rows`: one process holds it. Names on stderr what means nothing here.
    Raises: UsageError for what cannot be honoured.
    """
    load = _with_checkpoint(load, swift)
    load = _with_engine(load, swift)
    load = _with_sampling(load, swift)
    environment = read_environment(os.environ, swift.model_kwargs)
    for note in environment.notes:
        show(on_one_line(f"shenhe: warning: {note}"), file=sys.stderr)
    budgets = [pixels for pixels in (load.max_pixels, environment.max_pixels) if pixels]
    load = replace(load, max_pixels=min(budgets, default=None))
    return _with_processes(load, environment.processes) if for_rows else load


def trained_with(load: InferLoadOptions) -> TrainerArgs | None:
    """Read the args.json of the first adapter that has one, or of the model.

    Raises: CheckpointError if it cannot be read.
    """
    from shenhe.checkpoints.trainer_args import read_trainer_args

    read = (read_trainer_args(Path(name)) for name in (*load.adapters, load.model) if name)
    return next((args for args in read if args is not None), None)


def with_merged(load: InferLoadOptions) -> InferLoadOptions:
    """Merge the adapters into ADAPTER-merged, unless that is there and of these very adapters.

    Raises: OptionError for a folder of that name that is another merge, or none; AdapterError,
    CheckpointError.
    """
    if not load.adapters:
        raise OptionError("merge_lora", None, f"goes with {spelled('adapters')}")
    quiet_transformers()
    one_thread_of_numpy()
    from shenhe.checkpoints.companions import is_merge_of
    from shenhe.checkpoints.inspect import find_adapter, find_checkpoint
    from shenhe.checkpoints.merge import merge_adapters

    folder = Path(f"{load.adapters[-1].rstrip('/')}-merged")
    if not folder.exists():
        show(f"merging into {folder} ...", file=sys.stderr)
        merge_adapters(load.model, load.adapters, folder)
    elif not is_merge_of(
        folder, find_checkpoint(load.model), [find_adapter(name) for name in load.adapters]
    ):
        problem = f"{folder} is there, and was not merged from these files: move it away"
        raise OptionError("merge_lora", None, problem)
    else:
        show(f"{folder} is the merge of these adapters", file=sys.stderr)
    return replace(load, model=str(folder), adapters=())


def _with_checkpoint(load: InferLoadOptions, swift: SwiftLoadOptions) -> InferLoadOptions:
    """Fill in what `ckpt_dir` is, and the base that args.json records."""
    if swift.ckpt_dir is not None:
        is_adapter = any((Path(swift.ckpt_dir) / name).is_file() for name in ADAPTER_FILES)
        other = load.adapters if is_adapter else load.model
        if other:
            name = "adapters" if is_adapter else "model"
            raise OptionError("ckpt_dir", swift.ckpt_dir, f"say it once: beside {spelled(name)}")
        if is_adapter:
            load = replace(load, adapters=(swift.ckpt_dir,))
        else:
            load = replace(load, model=swift.ckpt_dir)
    if not load.model and not swift.load_args:
        raise OptionError("model", None, "name the base: args.json is not to be read")
    return replace(load, model=model_of_args(load.model, load.adapters))


def _with_engine(load: InferLoadOptions, swift: SwiftLoadOptions) -> InferLoadOptions:
    backend = swift.infer_backend
    if backend in SERVERS and load.engine != "server":
        address = f"{spelled('engine', 'server')} {spelled('base_url', 'http://HOST:PORT/v1')}"
        problem = f"start {SERVERS[backend]} server with this model, and ask it: {address}"
        raise OptionError("infer_backend", backend, problem)
    if backend == "vllm" and load.engine == "local":
        load = replace(load, engine="vllm")
    elif load.engine == "local" and load.vllm.vllm_options:
        names = ", ".join(pair.partition("=")[0] for pair in load.vllm.vllm_options)
        warning = f"options of vLLM mean nothing to the local engine: {names}"
        show(on_one_line(f"shenhe: warning: {warning}"), file=sys.stderr)
    if swift.device_map is not None:
        if not _DEVICE.fullmatch(swift.device_map):
            problem = (
                f"a model is loaded onto one device; {spelled('engine', 'vllm')} takes several"
            )
            raise OptionError("device_map", None, problem)
        if swift.device_map != "auto":
            load = replace(load, local=replace(load.local, device=swift.device_map))
    if swift.max_batch_size is not None:
        if swift.max_batch_size == 0:
            raise OptionError("max_batch_size", 0, "must be 1 or more, or -1")
        usual: Literal["auto"] = "auto"
        load = replace(load, batch_size=usual if swift.max_batch_size < 0 else swift.max_batch_size)
    return load


def _with_processes(load: InferLoadOptions, processes: int) -> InferLoadOptions:
    """Give each process that NPROC_PER_NODE asks for a device of its own."""
    if processes < 2 or load.devices or load.engine not in ("local", "vllm"):
        return load
    on_cpu = load.local.device == "cpu"
    names = ["cpu"] * processes if on_cpu else list(map(str, range(processes)))
    local = replace(load.local, device="auto") if on_cpu else load.local
    return replace(load, devices=(",".join(names),), local=local)


def _with_sampling(load: InferLoadOptions, swift: SwiftLoadOptions) -> InferLoadOptions:
    if swift.top_k == 1:
        return replace(load, temperature=0.0)
    if swift.top_k is not None and swift.top_k > 1 and load.temperature > 0:
        problem = f"is not done here; {spelled('top_p')} cuts the tail of a sampling too"
        raise OptionError("top_k", swift.top_k, problem)
    return load
