"""Safetensors files, written a tensor at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from shenhe.checkpoints.tensors import NAMES, StoredTensor, TensorSpec
from shenhe.errors import CheckpointError

BLOCK_BYTES = 4 << 20
"""Size of a write, a multiple of any disk's sector."""
DIRECT = getattr(os, "O_DIRECT", 0)


def plan_shards(planned: Sequence[TensorSpec], max_shard_bytes: int) -> dict[str, list[TensorSpec]]:
    """Distribute tensors over files, in order; a tensor larger than a shard has its own.

    Returns: the tensors by file name.
    """
    shards: list[list[TensorSpec]] = [[]]
    size = 0
    for tensor in planned:
        if shards[-1] and size + tensor.nbytes > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.nbytes
    if len(shards) == 1:
        return {"model.safetensors": shards[0]}
    count = len(shards)
    return {
        f"model-{number:05d}-of-{count:05d}.safetensors": shard
        for number, shard in enumerate(shards, 1)
    }


class ShardWriter:
    """Writer of one safetensors file, its tensors in the planned order.

    Writes bypass the page cache if the file system allows it: filling the cache takes more CPU time
    than merging, and evicts the base from it.
    """

    def __init__(self, path: Path, planned: Sequence[TensorSpec]) -> None:
        """Write the header.

        Raises: OSError, also from every other method.
        """
        end = 0
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        for tensor in planned:
            header[tensor.name] = {
                "dtype": NAMES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [end, end + tensor.nbytes],
            }
            end += tensor.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._file = os.open(path, flags | DIRECT, 0o666)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._file = os.open(path, flags, 0o666)
        # Direct writes need memory aligned to a page.
        self._block = memoryview(mmap.mmap(-1, BLOCK_BYTES))
        self._filled = 0
        self._add(len(text).to_bytes(8, "little") + text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._use_page_cache()  # the remainder is not a whole number of sectors
                self._flush()
                os.fsync(self._file)
        finally:
            os.close(self._file)

    def copy(self, stored: StoredTensor) -> None:
        """Copy the bytes of a stored tensor.

        Raises: CheckpointError if its file has become shorter.
        """
        remaining, start = stored.nbytes, stored.start
        with stored.path.open("rb", buffering=0) as file:
            while remaining:
                room = self._block[self._filled : self._filled + remaining]
                count = os.preadv(file.fileno(), [room], start)
                if not count:
                    raise CheckpointError(f"{stored.path}: ends inside {stored.name}")
                remaining, start = remaining - count, start + count
                self._advance(count)

    def write(self, tensor: torch.Tensor) -> None:
        """Write a tensor."""
        flat = tensor.detach().contiguous().view(-1)
        self._add(flat.view(torch.uint8).numpy().data)

    def _add(self, data: bytes | memoryview) -> None:
        view, done = memoryview(data), 0
        while done < len(view):
            part = view[done : done + BLOCK_BYTES - self._filled]
            self._block[self._filled : self._filled + len(part)] = part
            done += len(part)
            self._advance(len(part))

    def _advance(self, count: int) -> None:
        self._filled += count
        if self._filled == BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        done = 0
        while done < self._filled:
            try:
                done += os.write(self._file, self._block[done : self._filled])
            except OSError as error:
                # Some file systems accept the flag and refuse the write.
                if error.errno != errno.EINVAL or not self._use_page_cache():
                    raise
        self._filled = 0

    def _use_page_cache(self) -> bool:
        """Write through the page cache from now on; False if that is so already."""
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        if not flags & DIRECT:
            return False
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags & ~DIRECT)
        return True
