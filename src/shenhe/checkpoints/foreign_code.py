"""Refusal of foreign code: files that would make a library run a folder's own or remote code.

Checked from the files' bytes alone, before anything of a checkpoint or an adapter is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shenhe.errors import CheckpointError, ItemError, item_wall

REMOTE: Final = "auto_map"
ATTENTION: Final = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
"""A value with a slash names a kernel, which transformers would fetch from the Hub and import."""
VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "added_tokens.json")
"""Files whose keys are tokens: such a key with a token's number does not ask for code."""
GENERATION: Final = Path("custom_generate", "generate.py")
_POSSIBLE = re.compile(
    rb"auto_map|attn_implementation|\\u00(?:61|75|74|6f|5f|6d|70|6e|69|6c|65)", re.IGNORECASE
)
"""Bytes that a file with one of these keys contains, even if the key is spelled with escapes."""


@contextmanager
def foreign_library(subject: object, error_type: type[CheckpointError]) -> Iterator[None]:
    """Turn any exception of a foreign library into one line about the checkpoint.

    Raises: `error_type`; the project's own errors pass as they are.

        with foreign_library(f"{folder}: cannot be loaded", CheckpointError):
            model = AutoModel.from_pretrained(folder)
    """
    try:
        with item_wall("foreign", subject):
            yield
    except ItemError as caught:
        raise error_type(str(caught)) from caught.__cause__


def refuse_foreign_code(folder: Path, name: str, error_type: type[CheckpointError]) -> None:
    """Refuse a folder that asks a library to run its own code.

    `name` is the option and its value, for the message.
    Raises: `error_type` that names the file.
    """
    for path in sorted(folder.glob("*.json")):
        for key, value in _find_pairs(path, error_type) if path.is_file() else ():
            if key == REMOTE and not (type(value) is int and path.name in VOCABULARIES):
                raise error_type(
                    f"{name}: {path.name} asks for remote code ({REMOTE}), which is refused"
                )
            if key in ATTENTION and "/" in str(value):
                raise error_type(
                    f"{name}: {path.name} asks for a foreign kernel ({key}), which is refused"
                )
    if (folder / GENERATION).exists():
        raise error_type(f"{name}: {GENERATION} is code of its own, which is refused")


def _find_pairs(path: Path, error_type: type[CheckpointError]) -> list[tuple[str, object]]:
    """Collect the pairs that ask for code, at any depth; files without any are not parsed."""
    matches: list[tuple[str, object]] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        matches.extend(pair for pair in pairs if pair[0] == REMOTE or pair[0] in ATTENTION)
        return dict(pairs)

    with foreign_library(f"{path}: cannot be read", error_type):
        data = path.read_bytes()
        if _POSSIBLE.search(data):
            json.loads(data.decode("utf-8"), object_pairs_hook=collect)
    return matches
