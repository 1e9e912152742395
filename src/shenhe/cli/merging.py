"""`shenhe merge`, and `shenhe export` for those who come from ms-swift."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from shenhe.cli.composing import adapters_of, model_of_args, quiet_transformers
from shenhe.errors import UsageError
from shenhe.printable import show

PLAIN_SECONDS = 10.0


def merge(options: argparse.Namespace) -> int:
    """Merge adapters into one checkpoint."""
    quiet_transformers()
    from shenhe.checkpoints.merge import merge_adapters

    began = time.monotonic()
    with _Bytes() as progress:
        report = merge_adapters(
            options.model,
            adapters_of(options),
            options.output_dir,
            dtype=options.dtype,
            combine=options.combine,
            max_shard_bytes=options.max_shard_size,
            overwrite=options.overwrite,
            on_bytes=progress.update,
        )
    seconds = max(time.monotonic() - began, 1e-9)
    whole = f", {report.replaced} tensors replaced" if report.replaced else ""
    show(
        f"{report.folder}: {report.merged} modules merged{whole}, {report.nbytes / 1e9:.2f} GB"
        f" in {seconds:.1f} s, {report.nbytes / 1e9 / seconds:.2f} GB/s"
    )
    if report.base_missing:
        show(f"  the base itself lacks {', '.join(report.base_missing)}", file=sys.stderr)
    return 0


def export(options: argparse.Namespace) -> int:
    """Merge, as `swift export --merge_lora true` does."""
    if not options.merge_lora:
        raise UsageError("export does one thing here: --merge_lora true")
    if not options.safe_serialization:
        raise UsageError("--safe_serialization false: only safetensors are written")
    options.model = model_of_args(options)
    if options.output_dir is None:
        last = adapters_of(options)[-1].rstrip("/")
        options.output_dir = Path(f"{last}-merged")
    return merge(options)


class _Bytes:
    """Shows bytes written: a bar with GB/s on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._began = self._told = time.monotonic()
        if sys.stderr.isatty():
            columns = (TextColumn("merging"), BarColumn(), DownloadColumn())
            self._bar = Progress(
                *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)
            )
            self._task = self._bar.add_task("merging", total=None)

    def __enter__(self) -> _Bytes:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show how much is written."""
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=done, total=total)
        elif now - self._told >= PLAIN_SECONDS:
            self._told = now
            speed = done / 1e9 / (now - self._began)
            show(
                f"merging: {done / 1e9:.1f}/{total / 1e9:.1f} GB, {speed:.2f} GB/s,"
                f" {(total - done) / 1e9 / speed:.0f} s left",
                file=sys.stderr,
            )
