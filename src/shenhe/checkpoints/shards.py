"""Safetensors files, written a few megabytes at a time."""

from __future__ import annotations

import errno
import json
import mmap
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate, zip_longest
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from shenhe.checkpoints.tensors import TensorSpec

Source = Callable[[int, memoryview], None]
"""Fills a buffer with bytes of a tensor, from an offset on; called from several threads."""
SEGMENT_BYTES = 4 << 20
"""Size of a write, a multiple of any disk's sector."""
SECTOR = 4096
MAX_WORKERS = 8
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
    """Writer of one safetensors file, several segments at once.

    Writes bypass the page cache if the file system allows it: filling the cache takes more CPU time
    than merging, and evicts the base from it.
    """

    def __init__(self, path: Path, planned: Sequence[TensorSpec]) -> None:
        """Create the file, with all its length as a hole.

        Raises: OSError, also from every other method.
        """
        self._header = _header(planned)
        starts = accumulate((tensor.nbytes for tensor in planned), initial=len(self._header))
        self._tensors = [
            (start, tensor) for start, tensor in zip(starts, planned, strict=False) if tensor.nbytes
        ]
        self._size = len(self._header) + sum(tensor.nbytes for tensor in planned)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._open = [self._file]
        # Writes that lengthen a file would wait for each other.
        os.truncate(self._file, self._size)
        self._direct = self._file
        with suppress(OSError):  # some file systems refuse the flag
            self._direct = os.open(path, os.O_WRONLY | DIRECT)
            self._open.append(self._direct)

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
                os.fsync(self._file)
        finally:
            for file in self._open:
                os.close(file)

    def write(self, sources: Mapping[str, Source], on_written: Callable[[int], None]) -> None:
        """Write all tensors. `on_written` is called with the bytes of each part that is written.

        Raises: whatever a source raises, of the first segment where one does.
        """
        workers = min(MAX_WORKERS, (os.cpu_count() or 1) + 2)
        buffers: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(workers):  # direct writes need memory aligned to a page
            buffers.put(memoryview(mmap.mmap(-1, SEGMENT_BYTES)))

        def write_segment(start: int) -> int:
            buffer = buffers.get()
            try:
                return self._write_segment(start, buffer, sources)
            finally:
                buffers.put(buffer)

        pool = ThreadPoolExecutor(workers)
        try:
            for written in pool.map(write_segment, _mixed(range(0, self._size, SEGMENT_BYTES))):
                on_written(written)
        finally:  # no thread may write when the file is closed, whatever happened
            pool.shutdown(cancel_futures=True)

    def _write_segment(self, start: int, buffer: memoryview, sources: Mapping[str, Source]) -> int:
        """Write a part of the file. Returns the number of bytes that are of tensors."""
        end = min(start + SEGMENT_BYTES, self._size)
        in_header = self._header[start:end]
        buffer[: len(in_header)] = in_header
        done = start + len(in_header)
        index = bisect_right(self._tensors, done, key=lambda entry: entry[0]) - 1
        while done < end:
            first, tensor = self._tensors[index]
            stop = min(first + tensor.nbytes, end)
            sources[tensor.name](done - first, buffer[done - start : stop - start])
            done, index = stop, index + 1
        self._put(buffer[: end - start], start)
        return end - start - len(in_header)

    def _put(self, data: memoryview, start: int) -> None:
        while data:
            # The last segment is not a whole number of sectors.
            file = self._file if len(data) % SECTOR else self._direct
            try:
                count = os.pwrite(file, data, start)
            except OSError as error:
                # Some file systems accept the flag and refuse the write.
                if error.errno != errno.EINVAL or file == self._file:
                    raise
                self._direct = self._file
                continue
            data, start = data[count:], start + count


def _mixed(starts: Sequence[int]) -> Iterator[int]:
    """Take segments of both halves of a file by turns.

    Embeddings, which are only copied, are its first tensors: the disk is busy with them while
    segments that take more of the processor are merged.
    """
    middle = len(starts) // 2
    for pair in zip_longest(starts[middle:], starts[:middle]):
        yield from (start for start in pair if start is not None)


def _header(planned: Sequence[TensorSpec]) -> bytes:
    end = 0
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for tensor in planned:
        header[tensor.name] = {
            "dtype": tensor.dtype.name,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + tensor.nbytes],
        }
        end += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
