"""Headers of safetensors files: what is in them, without the library of their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from shenhe.errors import CheckpointError
from shenhe.json_keys import refuse_repeated_keys

MAX_HEADER_BYTES: Final = 100_000_000
LFS_POINTER: Final = b"version https://git-lfs"
DAMAGES: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a damaged header raises."""


class Header(NamedTuple):
    """What a file says of its tensors, by name.

    Units: bytes; `end` is where the header ends and the first tensor begins, `size` that of the
    file.
    """

    entries: dict[str, Any]
    end: int
    size: int


def read_header(path: Path) -> Header:
    """Read the header of a file.

    Raises: CheckpointError that names the fault of the file.
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
            header = json.loads(file.read(length), object_pairs_hook=refuse_repeated_keys)
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except DAMAGES as error:
        raise CheckpointError(f"{path}: its header is damaged: {error}") from error
    return Header(entries, 8 + length, size)


def tensor_names(paths: Iterable[Path]) -> list[str]:
    """List the tensors of files.

        tensor_names(find_adapter("demo").weights)

    Raises: CheckpointError, see `read_header`.
    """
    return [name for path in paths for name in read_header(path).entries]
