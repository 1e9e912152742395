"""No foreign code, ever: what in a folder would make a library run code of its own or from afar.

Looked at before anything of a checkpoint or an adapter is loaded, from its files' bytes alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from shenhe.errors import CheckpointError, ItemError, item_wall

REMOTE: Final = "auto_map"
ATTENTION: Final = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
"""A value with a slash is a kernel, which transformers would fetch from the Hub and import."""
VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "added_tokens.json")
"""Files whose keys are tokens: there the key with a token's number says nothing about code."""
GENERATION: Final = Path("custom_generate", "generate.py")
_POSSIBLE = re.compile(
    rb"auto_map|attn_implementation|\\u00(?:61|75|74|6f|5f|6d|70|6e|69|6c|65)", re.IGNORECASE
)
"""What a file must hold for a key of it to read as one of those, be it spelled with escapes."""


@contextmanager
def foreign_library(what: object, error_type: type[CheckpointError]) -> Iterator[None]:
    """Turn whatever a foreign library raises over a checkpoint into one line about it.

    Raises: `error_type`; the project's own errors pass as they are.

        with foreign_library(f"{folder}: cannot be loaded", CheckpointError):
            model = AutoModel.from_pretrained(folder)
    """
    try:
        with item_wall("foreign", what):
            yield
    except ItemError as caught:
        raise error_type(str(caught)) from caught.__cause__


def refuse_foreign_code(folder: Path, name: str, error_type: type[CheckpointError]) -> None:
    """Refuse a folder that asks a library to run its own code; `name` is what it was called.

    Raises: `error_type` that names the file.
    """
    for path in sorted(folder.glob("*.json")):
        for key, value in _telling_pairs(path, error_type) if path.is_file() else ():
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


def _telling_pairs(path: Path, error_type: type[CheckpointError]) -> list[tuple[str, Any]]:
    """Collect the pairs that ask for code, at any depth; files without any are not parsed."""
    telling: list[tuple[str, Any]] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        telling.extend(pair for pair in pairs if pair[0] == REMOTE or pair[0] in ATTENTION)
        return dict(pairs)

    with foreign_library(f"{path}: cannot be read", error_type):
        data = path.read_bytes()
        if _POSSIBLE.search(data):
            json.loads(data.decode("utf-8"), object_pairs_hook=look)
    return telling
