"""The demo's missions by the OpenVINO engine and by the local one: rows compared, a line a stage.

    python -m bench.openvino [EXPORT] [--dtype float32] [--folder SOMEWHERE] [--captions]

EXPORT is the bundled checkpoint as `recipes.openvino_export` writes it; without it, as it is
bundled. Both engines run both stages over all bundled photos, held to their formats. A row is the
same if all its lines are, or verdict and reason. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.llama_cpp import caption, compare, read, run

STAGES = {"stage_a": ("per_image",), "stage_b": ("verdict", "reason")}


def main() -> None:
    """Run both engines, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", nargs="?", default="demo")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--captions", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    engines = {
        "local": ("--model", "demo", "--adapters", "demo", "--dtype", "float32"),
        "openvino": ("--engine", "openvino", "--model", options.export, "--dtype", options.dtype),
    }
    seconds = {name: run(folder, name, *words) for name, words in engines.items()}
    stages = dict(STAGES)
    if options.captions:
        stages["captions"] = ("raw",)
        for name, words in engines.items():
            caption(folder, name, *words)
    print("| stage | rows | same | p_pass differs at most by |\n|---|---|---|---|")
    for stage, same in stages.items():
        compare(stage, read(folder, "local", stage), read(folder, "openvino", stage), same)
    print(", ".join(f"{name}: {value:.1f} s" for name, value in seconds.items()))


if __name__ == "__main__":
    main()
