"""Safetensors files, read and written a tensor at a time: never a whole file in memory.

Reads are plain reads, not a memory map, so that what was read is not held as resident memory.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from shenhe.errors import CheckpointError

WRITE_BYTES = 1 << 20
"""Written at a time: one write of a whole tensor takes the system three times as long."""
NO_SYSTEM_COPY = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
"""What systems say that cannot copy between two files, for instance of two file systems."""
MAX_HEADER_BYTES = 100_000_000
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
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 0 < length <= min(size - 8, MAX_HEADER_BYTES):
                raise CheckpointError(f"{path}: no safetensors file, or cut off in its header")
            header = json.loads(file.read(length))
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
    """Writes one file, its tensors in the order that was planned."""

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
        self._file = path.open("xb", buffering=0)
        self._system_copies = True
        self._write(len(text).to_bytes(8, "little") + text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            os.fsync(self._file.fileno())
        self._file.close()

    def copy(self, stored: StoredTensor) -> None:
        """Write a tensor as it is stored elsewhere."""
        left, start = stored.nbytes, stored.start
        with stored.path.open("rb", buffering=0) as file:
            while left:
                count = self._copy_some(file.fileno(), left, start)
                if not count:
                    raise CheckpointError(f"{stored.path}: ends inside {stored.name}")
                left, start = left - count, start + count

    def _copy_some(self, source: int, most: int, start: int) -> int:
        """Let the system copy, which is the fastest, and copy here where it does not."""
        if self._system_copies:
            try:
                return os.copy_file_range(source, self._file.fileno(), most, start)
            except (AttributeError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in NO_SYSTEM_COPY:
                    raise
                self._system_copies = False
        piece = os.pread(source, min(most, WRITE_BYTES), start)
        self._write(piece)
        return len(piece)

    def write(self, tensor: torch.Tensor) -> None:
        """Write a tensor."""
        flat = tensor.detach().contiguous().view(-1)
        self._write(flat.view(torch.uint8).numpy().data)

    def _write(self, data: bytes | memoryview) -> None:
        view, done = memoryview(data), 0
        while done < len(view):
            done += self._file.write(view[done : done + WRITE_BYTES])
