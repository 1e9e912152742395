"""Write a merged checkpoint as GGUF.

    python -m recipes.llama_cpp CHECKPOINT FOLDER [--type q8_0|f16|bf16|f32]

Then `llama-server -m FOLDER/model.gguf --mmproj FOLDER/mmproj.gguf`: see docs/laptop.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recipes.llama_cpp.convert import convert
from recipes.llama_cpp.gguf_file import FILE_TYPES
from shenhe.errors import ShenheError


def main() -> None:
    """Convert the checkpoint of the command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.llama_cpp", description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--type", choices=FILE_TYPES, default="q8_0")
    options = parser.parse_args()
    try:
        for path in convert(options.checkpoint, options.folder, options.type):
            print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")
    except ShenheError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
