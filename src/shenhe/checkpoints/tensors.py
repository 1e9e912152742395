"""Safetensors files, read a tensor at a time: never a whole file in memory.

Reads are plain reads, not a memory map, so that what was read is not held as resident memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shenhe.errors import CheckpointError

MAX_HEADER_BYTES = 100_000_000
LFS_POINTER = b"version https://git-lfs"
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
    """Memory that is used again: fresh pages cost more than what is computed in them."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(self, nbytes: int) -> torch.Tensor:
        """Give so many bytes, whatever they hold."""
        if len(self._bytes) < nbytes:
            self._bytes = torch.empty(nbytes, dtype=torch.uint8)
        return self._bytes[:nbytes]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a tensor is, wherever it lies or will lie."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StoredTensor(TensorSpec):
    """A tensor and where it lies: `start` is its first byte in the file."""

    path: Path
    start: int

    def read(self, scratch: Scratch | None = None) -> torch.Tensor:
        """Read it, into scratch memory where that is given: then only until the next such read.

        Raises: CheckpointError if the file cannot be read or has become shorter.
        """
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        # Not filled first, as a bytearray is.
        whole = (
            scratch.take(self.nbytes) if scratch else torch.empty(self.nbytes, dtype=torch.uint8)
        )
        buffer = whole.numpy().data
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
        return whole.view(self.dtype).view(self.shape)


def read_table(path: Path) -> dict[str, StoredTensor]:
    """Read what a file holds, in the order of its bytes, and check it against the file's size.

    Raises: CheckpointError that says what is wrong with the file.
    Source: the safetensors format.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise CheckpointError(
                    f"{path}: a pointer of Git LFS, not the weights: git lfs pull"
                )
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 0 < length <= min(size - 8, MAX_HEADER_BYTES):
                raise CheckpointError(f"{path}: no safetensors file, or cut off in its header")
            header = json.loads(file.read(length), object_pairs_hook=once)
            members = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
            found = [_stored(path, 8 + length, name, entry) for name, entry in members]
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its header is damaged: {error}") from error
    found.sort(key=lambda tensor: tensor.start)
    at = 8 + length
    for tensor in found:
        if tensor.start != at:
            raise CheckpointError(f"{path}: {tensor.name} does not begin where the last one ends")
        at += tensor.nbytes
    if at != size:
        raise CheckpointError(f"{path}: has {size:,} bytes, its header tells of {at:,}")
    return {tensor.name: tensor for tensor in found}


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON of its pairs, for `json.loads`: of two with one key, neither is right.

    Raises: ValueError.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)} stands twice")
    return content


def read_tables(paths: Iterable[Path]) -> dict[str, StoredTensor]:
    """Read what the files of a checkpoint hold together; see `read_table`."""
    return {name: stored for path in paths for name, stored in read_table(path).items()}


def _stored(path: Path, offset: int, name: str, entry: dict[str, Any]) -> StoredTensor:
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
