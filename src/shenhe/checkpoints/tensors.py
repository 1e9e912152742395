"""Safetensors files, read a tensor at a time: a whole file is never in memory.

Reads are plain reads, not a memory map, so that what was read does not count as resident memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shenhe.checkpoints.headers import DAMAGES, read_header
from shenhe.errors import CheckpointError

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Scratch:
    """Memory for reuse: fresh pages cost more than the computation in them."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(self, nbytes: int) -> torch.Tensor:
        """Return `nbytes` of memory with arbitrary content. Shape: (nbytes,), uint8."""
        if len(self._bytes) < nbytes:
            self._bytes = torch.empty(nbytes, dtype=torch.uint8)
        return self._bytes[:nbytes]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype and shape of a tensor, stored or planned."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StoredTensor(TensorSpec):
    """A tensor in a file: `start` is the offset of its first byte."""

    path: Path
    start: int

    def read(self, scratch: Scratch | None = None) -> torch.Tensor:
        """Read the tensor; into scratch memory it is valid until the next such read.

        Raises: CheckpointError if the file cannot be read or has become shorter.
        """
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        # Not filled first, as a bytearray is.
        memory = (
            scratch.take(self.nbytes) if scratch else torch.empty(self.nbytes, dtype=torch.uint8)
        )
        buffer = memory.numpy().data
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.start)
                done = 0
                while done < self.nbytes and (count := file.readinto(buffer[done:])):
                    done += count
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be read: {error.strerror}") from error
        if done < self.nbytes:
            raise CheckpointError(f"{self.path}: ends inside {self.name}")
        return memory.view(self.dtype).view(self.shape)


def read_table(path: Path) -> dict[str, StoredTensor]:
    """Read the header of a file: its tensors in the order of their bytes, checked for gaps.

    Raises: CheckpointError that names the fault of the file.
    """
    header = read_header(path)
    try:
        tensors = [
            _parse_entry(path, header.end, name, entry) for name, entry in header.entries.items()
        ]
    except DAMAGES as error:
        raise CheckpointError(f"{path}: its header is damaged: {error}") from error
    tensors.sort(key=lambda tensor: tensor.start)
    end = header.end
    for tensor in tensors:
        if tensor.start != end:
            raise CheckpointError(f"{path}: {tensor.name} does not begin where the last one ends")
        end += tensor.nbytes
    if end != header.size:
        raise CheckpointError(f"{path}: has {header.size:,} bytes, its header tells of {end:,}")
    return {tensor.name: tensor for tensor in tensors}


def read_tables(paths: Iterable[Path]) -> dict[str, StoredTensor]:
    """Read the headers of a checkpoint's files together.

    Raises: CheckpointError, see `read_table`.
    """
    return {name: stored for path in paths for name, stored in read_table(path).items()}


def shorten(names: Iterable[str], count: int = 5) -> str:
    """Join the first few names, and the number of the others.

    >>> shorten(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    listed = list(names)
    hidden = len(listed) - count
    return ", ".join(listed[:count]) + (f" and {hidden} more" if hidden > 0 else "")


def _parse_entry(path: Path, offset: int, name: str, entry: dict[str, Any]) -> StoredTensor:
    if entry["dtype"] not in DTYPES:
        raise CheckpointError(f"{path}: {name} has an unknown dtype {entry['dtype']!r}")
    start, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(side) is int and side >= 0 for side in shape):
        raise CheckpointError(f"{path}: {name} has an impossible shape {list(shape)}")
    tensor = StoredTensor(name, DTYPES[entry["dtype"]], shape, path, offset + start)
    if end - start != tensor.nbytes:
        raise CheckpointError(f"{path}: {name} takes {end - start} bytes, not {tensor.nbytes}")
    return tensor
