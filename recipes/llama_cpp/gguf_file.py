"""Writing GGUF, the file format of llama.cpp: fields, then tensors, one at a time in memory.

Source: docs/gguf.md of ggml.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import torch

TensorType = Literal["f32", "f16", "bf16", "q8_0"]
ALIGNMENT: Final = 32
BLOCK: Final = 32
"""Values that share a scale in q8_0."""
BLOCK_BYTES: Final = 2 + BLOCK
FILE_TYPES: Final[dict[TensorType, int]] = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}
_TENSOR_TYPES: Final[dict[TensorType, int]] = {"f32": 0, "f16": 1, "q8_0": 8, "bf16": 30}
_PLAIN: Final = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor to be written: `read` gives its values. Shape: as torch has it."""

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    read: Callable[[], torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        count = math.prod(self.shape)
        if self.kind == "q8_0":
            return count // BLOCK * BLOCK_BYTES
        return count * _PLAIN[self.kind].itemsize

    def encoded(self) -> bytes:
        """Give its bytes, as they are in the file."""
        values = self.read().contiguous()
        if self.kind == "q8_0":
            return quantize(values.float().flatten())
        return values.to(_PLAIN[self.kind]).view(torch.uint8).numpy().tobytes()


def quantize(values: torch.Tensor) -> bytes:
    """Quantise to q8_0: blocks of a scale in float16 and 32 numbers of 8 bits.

    Shape: (n,), with n a multiple of 32.
    """
    blocks = values.view(-1, BLOCK)
    scales = blocks.abs().amax(1, keepdim=True) / 127
    scaled = blocks * torch.where(scales == 0, 0.0, 1 / scales)
    rounded = scaled.sign() * (scaled.abs() + 0.5).floor()
    stored = scales.half().view(torch.uint8), rounded.to(torch.int8).view(torch.uint8)
    return torch.cat(stored, 1).numpy().tobytes()


def write_gguf(path: Path, fields: Mapping[str, object], tensors: Sequence[Tensor]) -> None:
    """Write a file: its fields in order, and its tensors."""
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)))
        for name, value in fields.items():
            file.write(_text(name) + struct.pack("<I", _kind(value)) + _encoded(value))
        start = 0
        for tensor in tensors:
            sides = tensor.shape[::-1]
            file.write(_text(tensor.name) + struct.pack(f"<I{len(sides)}Q", len(sides), *sides))
            file.write(struct.pack("<IQ", _TENSOR_TYPES[tensor.kind], start))
            start += _aligned(tensor.nbytes)
        _pad(file)
        for tensor in tensors:
            file.write(tensor.encoded())
            _pad(file)


def _kind(value: object) -> int:
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, str):
        return _STRING
    if isinstance(value, list):
        return _ARRAY
    return _FLOAT32 if isinstance(value, float) else _UINT32


def _encoded(value: object) -> bytes:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return struct.pack("<?", value)
    if isinstance(value, float):
        return struct.pack("<f", value)
    if isinstance(value, int):
        return struct.pack("<I", value)
    if isinstance(value, list):
        # llama.cpp reads lists of numbers as signed.
        kind = _INT32 if _kind(value[0]) == _UINT32 else _kind(value[0])
        return struct.pack("<IQ", kind, len(value)) + b"".join(map(_encoded, value))
    raise TypeError(f"GGUF has no {type(value).__name__}")


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))
