"""Writing a merge a few megabytes at a time: several parts are read, merged and written at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shenhe.checkpoints.companions import CONFIG, INDEX, write_json
from shenhe.checkpoints.merge_plan import MergePlan
from shenhe.checkpoints.merge_sources import tensor_sources
from shenhe.checkpoints.shards import ShardWriter


def write_merged(plan: MergePlan, folder: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Write the weights, then the configuration, without which nothing can be loaded.

    `on_bytes` is called with the bytes written so far, and all of them.
    Raises: AdapterError if a result is not finite; CheckpointError; OSError.
    """
    sources = tensor_sources(plan)
    total, done = plan.nbytes, 0

    def on_written(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        on_bytes(done, total)

    for file_name, shard in plan.shards.items():
        with ShardWriter(folder / file_name, shard) as writer:
            writer.write({tensor.name: sources[tensor.name] for tensor in shard}, on_written)
    if len(plan.shards) > 1:
        weight_map = {tensor.name: name for name, shard in plan.shards.items() for tensor in shard}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    write_json(folder / CONFIG, plan.config)
