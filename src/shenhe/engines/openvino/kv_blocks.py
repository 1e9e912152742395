"""Keys and values of all sequences, in blocks of memory that are handed out and taken back.

Whole blocks of prompts are kept for prompts that begin alike, as far as memory allows.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import openvino
import psutil

from shenhe.errors import EngineError

BLOCK: Final = 32
"""Tokens of a block, as OpenVINO's attention on a CPU has it."""
MEMORY_SHARE: Final = 0.5
"""Share of the free memory that blocks may take, at the start."""
MIN_BLOCKS: Final = 64


class KVBlocks:
    """The blocks of one model; `limit` of them fit into memory.

    A kept block is known by a key that stands for its tokens and all before them. One that no
    sequence uses goes when others are needed, the least recently used first.
    """

    def __init__(self, request: openvino.InferRequest, kept_bytes: int) -> None:
        """Find the caches among a model's inputs; keep blocks of prompts up to so many bytes.

        Raises: EngineError for blocks of another length.
        """
        self._request = request
        ports = [p for p in request.model_inputs if "_cache." in p.get_any_name()]
        self._shapes = {
            port.get_any_name(): [side.get_length() for side in list(port.get_partial_shape())[1:]]
            for port in ports
        }
        if any(shape[1] != BLOCK for shape in self._shapes.values()):
            raise EngineError(f"this OpenVINO keeps keys in blocks of another length than {BLOCK}")
        self._types = {port.get_any_name(): port.get_element_type() for port in ports}
        self._free: list[int] = []
        self._uses: Counter[int] = Counter()
        self._kept: OrderedDict[bytes, int] = OrderedDict()
        self._tensors: Mapping[str, openvino.Tensor] = {}
        self.count = 0
        self._grow(MIN_BLOCKS)
        block_bytes = sum(tensor.byte_size for tensor in self._tensors.values()) / self.count
        memory = psutil.virtual_memory().available * MEMORY_SHARE
        self.limit = max(MIN_BLOCKS, int(memory / block_bytes))
        self._max_kept = int(kept_bytes / block_bytes)

    @property
    def used(self) -> int:
        """Number of blocks that sequences use."""
        return len(self._uses)

    def take(self, count: int) -> list[int]:
        """Hand out blocks; there are as many as are asked for."""
        missing = count - len(self._free)
        if missing > 0 and self.count + missing > self.limit:
            self._drop(missing)
        if count > len(self._free):
            self._grow(max(min(2 * self.count, self.limit), self.count + count))
        blocks = [self._free.pop() for _ in range(count)]
        self._uses.update(blocks)
        return blocks

    def give_back(self, blocks: Sequence[int]) -> None:
        """Take blocks back from a sequence; kept ones stay as they are."""
        kept = set(self._kept.values())
        for block in blocks:
            self._uses[block] -= 1
            if not self._uses[block]:
                del self._uses[block]
                if block not in kept:
                    self._free.append(block)
        self._drop(len(self._kept) - self._max_kept)

    def find(self, keys: Sequence[bytes]) -> list[int]:
        """Hand out the kept blocks that a prompt begins with."""
        blocks = []
        for key in keys:
            if key not in self._kept:
                break
            self._kept.move_to_end(key)
            blocks.append(self._kept[key])
        self._uses.update(blocks)
        return blocks

    def keep(self, keys: Sequence[bytes], blocks: Sequence[int]) -> None:
        """Keep the first blocks of a prompt, which are filled."""
        if self._max_kept:
            for key, block in zip(keys, blocks, strict=False):
                self._kept.setdefault(key, block)

    def clear(self) -> None:
        """Keep nothing of earlier prompts."""
        self._drop(len(self._kept))

    def _drop(self, count: int) -> None:
        """Let go of so many kept blocks, if as many are in no use."""
        idle = (key for key, block in list(self._kept.items()) if block not in self._uses)
        for _, key in zip(range(count), idle, strict=False):
            self._free.append(self._kept.pop(key))

    def _grow(self, count: int) -> None:
        """Make room for so many blocks, and copy those that are there."""
        tensors = {
            name: openvino.Tensor(self._types[name], openvino.Shape([count, *shape]))
            for name, shape in self._shapes.items()
        }
        for name, old in self._tensors.items():
            start, stop = [0] * 4, [self.count, *self._shapes[name]]
            old.copy_to(openvino.Tensor(tensors[name], start, stop))
        for name, tensor in tensors.items():
            self._request.set_tensor(name, tensor)
        self._tensors = tensors
        self._free += reversed(range(self.count, count))
        self.count = count


def blocks_for(tokens: int) -> int:
    """Count the blocks that so many tokens take.

    >>> blocks_for(32), blocks_for(33)
    (1, 2)
    """
    return -(-tokens // BLOCK)
