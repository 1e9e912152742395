"""How long `shenhe --help` takes beside an empty Python, and a first answer beside a bare load.

python -m bench.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROUNDS, LOADS = 15, 5
PHOTOS = Path(__file__).parent.parent / "src" / "shenhe" / "demo" / "photos"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "shenhe --help": [sys.executable, "-m", "shenhe", "--help"],
    "shenhe run --help": [sys.executable, "-m", "shenhe", "run", "--help"],
}
BARE = """
from shenhe.checkpoints.inspect import DEMO_FOLDER
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
AutoModelForImageTextToText.from_pretrained(DEMO_FOLDER / "base")
AutoImageProcessor.from_pretrained(DEMO_FOLDER / "base", backend="pil")
AutoTokenizer.from_pretrained(DEMO_FOLDER / "base")
"""


def main() -> None:
    _tell(
        ROUNDS, {name: partial(list, words) for name, words in COMMANDS.items()}, "an empty Python"
    )
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(1000))
        first = ["summarize", "--model", "demo", "--data-root", str(PHOTOS), "--limit", "1"]
        first += ["--mission", "挡风板安装检查", "--output-dir"]
        _tell(
            LOADS,
            {
                "model, processor and tokenizer loaded": lambda: [sys.executable, "-c", BARE],
                "shenhe summarize --limit 1": lambda: [
                    *(sys.executable, "-m", "shenhe", *first),
                    f"{folder}/{next(number)}",
                ],
            },
            "a bare load",
        )


def _tell(rounds: int, commands: dict[str, Callable[[], list[str]]], floor_name: str) -> None:
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command(), capture_output=True, check=True)
            taken[name].append(time.perf_counter() - began)
    floor = statistics.median(next(iter(taken.values())))
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name}: median {median:.3f} s, {median / floor:.1f} times {floor_name}", flush=True)


if __name__ == "__main__":
    main()
