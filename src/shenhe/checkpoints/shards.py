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
from typing import Any, Self

import torch

from shenhe.checkpoints.tensors import NAMES, StoredTensor, TensorSpec
from shenhe.errors import CheckpointError

BLOCK_BYTES = 4 << 20
"""Written at a time: a multiple of what any disk asks for."""
DIRECT = getattr(os, "O_DIRECT", 0)


def plan_shards(planned: Sequence[TensorSpec], max_shard_bytes: int) -> dict[str, list[TensorSpec]]:
    """Share tensors out over files by name; one that is larger than a shard has one of its own."""
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
    """Writes one file, its tensors in the order that was planned.

    Past the system's cache, where the file system allows that: filling it takes more of the
    processor's time than merging does, and pushes the base out of it.
    """

    def __init__(self, path: Path, planned: Sequence[TensorSpec]) -> None:
        """Write the header.

        Raises: OSError, also from every other method.
        """
        at = 0
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        for tensor in planned:
            header[tensor.name] = {
                "dtype": NAMES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [at, at + tensor.nbytes],
            }
            at += tensor.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._file = os.open(path, flags | DIRECT, 0o666)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._file = os.open(path, flags, 0o666)
        # Direct writes ask for memory on the border of a page.
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
                self._write_through_cache()  # the rest is no whole number of sectors
                self._flush()
                os.fsync(self._file)
        finally:
            os.close(self._file)

    def copy(self, stored: StoredTensor) -> None:
        """Write a tensor as it is stored elsewhere."""
        left, start = stored.nbytes, stored.start
        with stored.path.open("rb", buffering=0) as file:
            while left:
                room = self._block[self._filled : self._filled + left]
                count = os.preadv(file.fileno(), [room], start)
                if not count:
                    raise CheckpointError(f"{stored.path}: ends inside {stored.name}")
                left, start = left - count, start + count
                self._advance(count)

    def write(self, tensor: torch.Tensor) -> None:
        """Write a tensor."""
        flat = tensor.detach().contiguous().view(-1)
        self._add(flat.view(torch.uint8).numpy().data)

    def _add(self, data: bytes | memoryview) -> None:
        view, done = memoryview(data), 0
        while done < len(view):
            piece = view[done : done + BLOCK_BYTES - self._filled]
            self._block[self._filled : self._filled + len(piece)] = piece
            done += len(piece)
            self._advance(len(piece))

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
                # Some file systems take the flag and refuse the write.
                if error.errno != errno.EINVAL or not self._write_through_cache():
                    raise
        self._filled = 0

    def _write_through_cache(self) -> bool:
        """Write as files are commonly written from now on; say whether that is news."""
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        if not flags & DIRECT:
            return False
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags & ~DIRECT)
        return True
