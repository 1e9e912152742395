"""`shenhe` as it is where only the package was installed: without what its extra `local` brings.

    python -m tests.thin_install                 # commands of the standard input, in their order
    python -m tests.thin_install review RUN_DIR  # one command, as it is typed

A list of commands is JSON, [[word, ...], ...]; so is what is printed of each: its exit code, and
what it wrote. `pixels PHOTO` is none of shenhe's: a digest of the photo as a model sees it.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.abc import MetaPathFinder
from pathlib import Path

LOCAL = (
    *("torch", "torchao", "transformers", "peft", "accelerate", "safetensors", "tokenizers"),
    *("huggingface_hub", "ray", "vllm"),
)


class _NotInstalled(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        top = name.partition(".")[0]
        if top in LOCAL:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)


def pixels(photo: str) -> str:
    """Digest the pixels of a photo as a model with the bundled budget sees them."""
    from shenhe.checkpoints.processor import read_processor
    from shenhe.photos import load

    loaded = load(Path(photo), read_processor("demo")).image
    return f"{loaded.size} {hashlib.sha256(loaded.tobytes()).hexdigest()}"


def _run(words: list[str]) -> dict[str, object]:
    if words[0] == "pixels":
        return {"code": 0, "out": pixels(words[1]), "err": ""}
    from shenhe.cli.main import exit_code

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = exit_code(words)
        except SystemExit as wrong_words:
            code = int(wrong_words.code or 0)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    sys.meta_path.insert(0, _NotInstalled())
    if len(sys.argv) > 1:
        from shenhe.cli.main import main

        main()
    json.dump([_run(words) for words in json.load(sys.stdin)], sys.stdout)
