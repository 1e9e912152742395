"""Safetensors files, read a tensor or a part of one at a time: a whole file is never in memory.

Reads are plain reads, not a memory map, so that what was read does not count as resident memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.headers import DAMAGES, read_header
from shenhe.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Dtype:
    """A dtype of safetensors, without torch.

    `name` is that of the format, `word` that of configurations and messages, `storage` numpy's
    dtype of the same bytes: the bare bits where numpy has no such numbers. `exponent` is the mask
    of bits that are all set in NaN and infinity, and 0 for integers.
    """

    name: str
    word: str
    storage: str
    exponent: int = 0

    @property
    def itemsize(self) -> int:
        """Size of a value in bytes."""
        return np.dtype(self.storage).itemsize

    @property
    def is_floating_point(self) -> bool:
        """Whether values are no integers."""
        return bool(self.exponent)


BFLOAT16 = Dtype("BF16", "bfloat16", "<u2", 0x7F80)
FLOAT16 = Dtype("F16", "float16", "<f2", 0x7C00)
FLOAT32 = Dtype("F32", "float32", "<f4", 0x7F800000)
FLOAT64 = Dtype("F64", "float64", "<f8", 0x7FF0000000000000)
FLOAT8 = (
    Dtype("F8_E4M3", "float8_e4m3fn", "u1", 0x7F),
    Dtype("F8_E5M2", "float8_e5m2", "u1", 0x7C),
)
INTEGERS = (
    *(Dtype("I64", "int64", "<i8"), Dtype("I32", "int32", "<i4"), Dtype("I16", "int16", "<i2")),
    *(Dtype("I8", "int8", "i1"), Dtype("U8", "uint8", "u1"), Dtype("BOOL", "bool", "?")),
)
DTYPES = {dtype.name: dtype for dtype in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16, *INTEGERS, *FLOAT8)}
CHUNK_VALUES = 1 << 20
"""Values examined at a time."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype and shape of a tensor, stored or planned."""

    name: str
    dtype: Dtype
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

    def read(self) -> NDArray[np.generic]:
        """Read the tensor, in the dtype that its bytes are stored as.

        Raises: CheckpointError if the file cannot be read or has become shorter.
        """
        values = np.empty(self.shape, self.dtype.storage)
        if self.nbytes:
            self.read_into(values.reshape(-1).view(np.uint8).data, 0)
        return values

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer with the tensor's bytes from an offset on.

        Raises: CheckpointError, as `read`.
        """
        with self.opened() as read:
            read(buffer, offset)

    @contextmanager
    def opened(self) -> Iterator[Callable[[memoryview, int], None]]:
        """Give what reads like `read_into`, for many parts: opening takes longer than reading one.

        Raises: CheckpointError, as `read`.
        """
        try:
            # A file object would take longer to open than such a part to be read.
            file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            yield partial(self._fill, file)
        finally:
            os.close(file)

    def _fill(self, file: int, buffer: memoryview, offset: int) -> None:
        done = 0
        try:
            while done < len(buffer) and (
                count := os.preadv(file, [buffer[done:]], self.start + offset + done)
            ):
                done += count
        except OSError as error:
            raise self._unreadable(error) from error
        if done < len(buffer):
            raise CheckpointError(f"{self.path}: ends inside {self.name}")

    def _unreadable(self, error: OSError) -> CheckpointError:
        return CheckpointError(f"{self.path}: cannot be read: {error.strerror}")

    def is_finite(self) -> bool:
        """Whether no value is NaN or infinite.

        Raises: CheckpointError, as `read`.
        """
        mask = self.dtype.exponent
        return not mask or not any(((bits & mask) == mask).any() for bits in self._chunks())

    def has_nonzero(self) -> bool:
        """Whether a value is not 0.

        Raises: CheckpointError, as `read`.
        """
        # Without their signs, since -0 is 0.
        sign = 1 << (8 * self.dtype.itemsize - 1) if self.dtype.is_floating_point else 0
        return any((bits & ~bits.dtype.type(sign)).any() for bits in self._chunks())

    def _chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Yield the values' bits, some at a time."""
        size = self.dtype.itemsize
        bits = np.empty(CHUNK_VALUES, f"<u{size}")
        for start in range(0, self.nbytes, CHUNK_VALUES * size):
            chunk = bits[: (self.nbytes - start) // size]
            self.read_into(chunk.view(np.uint8).data, start)
            yield chunk


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
