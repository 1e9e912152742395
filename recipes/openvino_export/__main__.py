"""Export a checkpoint for `--engine openvino`.

    python -m recipes.openvino_export CHECKPOINT OUT [--adapters A]... [--weights int8|fp16|fp32]

Adapters are merged first. Then `shenhe run --engine openvino --model OUT`: see docs/engine.md.
The first export makes an environment for optimum-intel, which takes minutes and gigabytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from recipes.openvino_export.export import ENVIRONMENT, Weights, export
from shenhe.errors import ShenheError


def main() -> None:
    """Export the checkpoint of the command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.openvino_export", description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("output", type=Path)
    parser.add_argument("--adapters", action="append", default=[])
    parser.add_argument("--weights", choices=get_args(Weights), default="int8")
    parser.add_argument("--merge-dtype", choices=("auto", "float32"), default="auto")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT)
    parser.add_argument("--pip-option", action="append", default=[], help="for the environment")
    options = parser.parse_args()
    try:
        export(
            options.checkpoint,
            options.adapters,
            options.output,
            options.weights,
            merge_dtype=options.merge_dtype,
            environment=options.environment,
            pip_options=options.pip_option,
        )
    except ShenheError as error:
        sys.exit(str(error))
    for path in sorted(options.output.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
