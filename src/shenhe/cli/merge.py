"""`shenhe merge`, and `shenhe export` for those who come from ms-swift."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from shenhe.cli.loading import (
    INFERRED_MODEL_HELP,
    MODEL_HELP,
    dtype_option,
    model_of_args,
    one_thread_of_numpy,
    quiet_transformers,
)
from shenhe.cli.values import ByteSize
from shenhe.engines.options import Dtype
from shenhe.errors import OptionError, UsageError, spelled
from shenhe.options import Name, option, option_class
from shenhe.printable import show

BESIDE_ADAPTER = Path("ADAPTER-merged")
"""Stands for a folder beside the last adapter."""
OUTPUT_HELP = "where the checkpoint goes"


@option_class
class MergeOptions:
    """Options of a merge."""

    model: Name = option(MODEL_HELP, metavar="BASE")
    adapters: tuple[Name, ...] = option("LoRA adapters; demo: the bundled one", metavar="A")
    combine: Literal["order", "sum"] = option(
        "several adapters: one after the other, each trained on the result of those before;"
        " or their sum, all trained on the same base",
        default="order",
    )
    output_dir: Path = option(OUTPUT_HELP, metavar="OUT")
    max_shard_size: ByteSize = option(
        "largest file of weights: MB, GB, MiB or GiB",
        default=5 * 10**9,
        metavar="SIZE",
        default_text="5GB",
    )
    dtype: Dtype = dtype_option()
    overwrite: bool = option("replace the output if it exists", default=False)


@option_class
class ExportOptions(MergeOptions):
    """Options of a merge by ms-swift's names: what is left out is named by args.json."""

    model: Name = option(INFERRED_MODEL_HELP, default="", metavar="BASE")
    adapters: tuple[Name, ...] = option(
        "LoRA adapters; demo: the bundled one", default=(), metavar="A"
    )
    ckpt_dir: Name | None = option("another name of --adapters", default=None, metavar="A")
    load_args: bool = option("take the base from the args.json of an adapter", default=True)
    output_dir: Path = option(
        f"{OUTPUT_HELP}; default: ADAPTER-merged",
        default=BESIDE_ADAPTER,
        metavar="OUT",
        default_text="",
    )
    merge_lora: bool = option("the one thing that export does here", default=False)
    safe_serialization: bool = option(
        "write safetensors; nothing else is written here", default=True
    )
    exist_ok: bool = option("--overwrite: an earlier merge never stays", default=False)


def merge(options: MergeOptions) -> int:
    """Merge adapters into one checkpoint."""
    return _merge(options, options.model, options.output_dir)


def export(options: ExportOptions) -> int:
    """Merge, as `swift export --merge_lora true` does.

    Raises: UsageError for other jobs of `swift export`.
    """
    if not options.merge_lora:
        raise UsageError("export does one thing here: --merge_lora true")
    if not options.safe_serialization:
        raise UsageError("--safe_serialization false: only safetensors are written")
    if options.ckpt_dir is not None and options.adapters:
        raise OptionError(
            "ckpt_dir", options.ckpt_dir, f"say it once: beside {spelled('adapters')}"
        )
    adapters = options.adapters or ((options.ckpt_dir,) if options.ckpt_dir else ())
    if not adapters:
        raise OptionError("adapters", None, "name what is to be merged")
    if not options.load_args and not options.model:
        raise OptionError("model", None, "name the base: args.json is not to be read")
    model = model_of_args(options.model, adapters)
    output_dir = options.output_dir
    if output_dir is BESIDE_ADAPTER:
        output_dir = Path(f"{adapters[-1].rstrip('/')}-merged")
    overwrite = options.overwrite or options.exist_ok
    return _merge(replace(options, adapters=adapters, overwrite=overwrite), model, output_dir)


def _merge(options: MergeOptions, model: str, output_dir: Path) -> int:
    quiet_transformers()
    one_thread_of_numpy()
    from shenhe.checkpoints.merge import merge_adapters
    from shenhe.cli.bytes_written import BytesWritten

    start = time.monotonic()
    with BytesWritten() as progress:
        report = merge_adapters(
            model,
            options.adapters,
            output_dir,
            dtype=options.dtype,
            combine=options.combine,
            max_shard_bytes=options.max_shard_size,
            overwrite=options.overwrite,
            on_bytes=progress.update,
        )
    seconds = max(time.monotonic() - start, 1e-9)
    whole = f", {report.replaced} tensors replaced" if report.replaced else ""
    show(
        f"{report.folder}: {report.merged} modules merged{whole}, {report.nbytes / 1e9:.2f} GB"
        f" in {seconds:.1f} s, {report.nbytes / 1e9 / seconds:.2f} GB/s"
    )
    if report.base_missing:
        show(f"  the base itself lacks {', '.join(report.base_missing)}", file=sys.stderr)
    return 0
