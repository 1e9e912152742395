"""Options of a model and its engine, and the engine that they describe."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.engines.choice import choose_engine
from shenhe.engines.options import (
    ClusterOptions,
    Dtype,
    EngineName,
    EngineOptions,
    LocalOptions,
    ModelOptions,
    ServerOptions,
    VllmOptions,
    WorkerName,
)
from shenhe.errors import OptionError
from shenhe.options import Name, option, option_class, section
from shenhe.printable import show
from shenhe.secrecy import redact_url

if TYPE_CHECKING:
    from shenhe.engines.base import EngineSpec, ServingEngine

MODEL_HELP = "a checkpoint folder; demo: the bundled one"
LOADING = ("local", "openvino", "vllm")
"""Engines that load a model on this machine."""
INFERRED_MODEL_HELP = f"{MODEL_HELP}; default: the adapter's args.json names it"
DTYPE_HELP = "auto: as the checkpoint was saved"


def formats_option(default: str, further_help: str = "") -> Name:
    """Declare the formats of a model's texts."""
    words = "text formats that the checkpoint was trained on: plain, keyed, domain, or a file"
    return option(f"{words} (TOML){further_help}", default=default, metavar="NAME|FILE")


@option_class
class ConfigOptions:
    """Files of prompts and missions, and formats, that replace or extend the built-in ones."""

    prompts: Path | None = option("your own prompts (TOML)", default=None, metavar="FILE")
    missions: Path | None = option("missions of your own (TOML)", default=None, metavar="FILE")
    formats: Name = formats_option("plain")


@option_class
class LoadOptions(ModelOptions):
    """Options of every command that loads a model."""

    engine: EngineName = option(
        "what runs the model: transformers, OpenVINO or vLLM in this process, an"
        " OpenAI-compatible server, or workers over a Ray cluster",
        default="local",
        after="adapters",
    )
    local: LocalOptions = section(after="engine", default=LocalOptions())
    devices: tuple[str, ...] = option(
        "a process on each of several devices, each with a model of its own: 0,1,2,3, all (GPUs)"
        " or cpu,cpu; with local or vllm",
        default=(),
        metavar="LIST",
        gathering="each",
        after="device",
    )
    server: ServerOptions = section(
        "server",
        "with --engine server; the key is read from SHENHE_API_KEY or OPENAI_API_KEY",
        default=ServerOptions(),
    )
    vllm: VllmOptions = section("vLLM and Ray", default=VllmOptions())
    cluster: ClusterOptions = section("vLLM and Ray", default=ClusterOptions())
    ray_engine: WorkerName = option(
        "the engine of each worker", default="local", after="ray_address"
    )
    config: ConfigOptions = section("prompts", default=ConfigOptions())


@option_class
class InferLoadOptions(LoadOptions):
    """The same for `infer`: the model may be left to the args.json of an adapter."""

    model: Name = option(INFERRED_MODEL_HELP, default="", metavar="PATH")


def engine_spec_of(load: LoadOptions) -> EngineSpec[EngineOptions]:
    """Describe the engine that the options name.

    Raises: OptionError for an option that the engine cannot honour.
    """
    from shenhe.engines.base import engine_spec

    engine = choose_engine(
        load.engine,
        load.ray_engine,
        load.local,
        load.server,
        load.vllm,
        load.cluster,
        load.devices,
    )
    return engine_spec(load, engine)


def make_engine(load: LoadOptions) -> ServingEngine:
    """Make the engine that the options name; a model on this machine is loaded when it is needed.

    Raises: OptionError; CheckpointError, AdapterError or EngineError.
    """
    from shenhe.engines.deferred import DeferredEngine

    spec = engine_spec_of(load)
    if load.engine in LOADING:
        return DeferredEngine(spec, lambda: _create(load, spec))
    return _create(load, spec)


def _create(load: LoadOptions, spec: EngineSpec[EngineOptions]) -> ServingEngine:
    from shenhe.engines.create import create_engine

    if load.engine == "server":
        show(f"asking {redact_url(str(load.server.base_url))} ...", file=sys.stderr)
    else:
        quiet_transformers()
        copies = f" on each of {', '.join(load.devices)}" if load.devices else ""
        show(f"loading {load.model}{copies} ...", file=sys.stderr)
    return create_engine(spec)


def one_thread_of_numpy() -> None:
    """Let numpy multiply in one thread each: a merge has several of its own.

    Must run before numpy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def quiet_transformers() -> None:
    """Keep progress bars and log lines of the libraries off the terminal."""
    # torchao logs which kernels for other GPUs it cannot load.
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if "transformers" not in sys.modules:  # read on import, which a merge may never need
        os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def with_usual_batch_size(load: LoadOptions, size: int) -> LoadOptions:
    """Set the batch size of the local engine, unless an option sets it."""
    if load.engine != "local" or load.batch_size is not None:
        return load
    return replace(load, batch_size=size)


def with_model_of_args(load: LoadOptions) -> LoadOptions:
    """Fill in a model that is left out, as `model_of_args` does."""
    return replace(load, model=model_of_args(load.model, load.adapters))


def model_of_args(model: str, adapters: tuple[str, ...]) -> str:
    """Return the model, or the base that args.json records beside the first adapter.

    Raises: OptionError if neither is named.
    """
    if model:
        return model
    from shenhe.checkpoints.trainer_args import read_trainer_args

    args = read_trainer_args(Path(adapters[0])) if adapters else None
    if args is None or not args.model:
        raise OptionError("model", None, "name the base; no args.json beside the adapter does")
    show(f"base {args.model}, as {args.path} says", file=sys.stderr)
    return args.model


def decisive_options(load: LoadOptions) -> dict[str, object]:
    """Options that decide the content of rows; speed, device and amount do not."""
    options: dict[str, object] = {
        "engine": load.engine,
        "dtype": load.local.dtype,
        "attn_impl": load.local.attn_impl,
        "quantize": load.local.quantize,
        "temperature": load.temperature,
        "top_p": load.top_p,
        "seed": load.seed,
        "max_pixels": load.max_pixels,
        "constrain": load.constrain,
        "model": load.model,
        "adapters": list(load.adapters),
    }
    if load.repetition_penalty != 1:  # outputs and promises from before there was one have none
        options["repetition_penalty"] = load.repetition_penalty
    return options


def max_new_tokens(default: int) -> int:
    """Declare the limit of an answer."""
    return option("limit of one answer", default=default, metavar="N")


def dtype_option() -> Dtype:
    """Declare the dtype of a command that loads a checkpoint without an engine's options."""
    return option(DTYPE_HELP, default="auto", also="--torch-dtype")
