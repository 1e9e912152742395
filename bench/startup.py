"""How long `shenhe --help` takes beside an empty Python, interleaved in one run.

python -m bench.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "shenhe --help": [sys.executable, "-m", "shenhe", "--help"],
    "shenhe run --help": [sys.executable, "-m", "shenhe", "run", "--help"],
}


def main() -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            taken[name].append(time.perf_counter() - began)
    floor = statistics.median(taken["python -c pass"])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name}: median {median:.3f} s, {median / floor:.1f} times an empty Python")


if __name__ == "__main__":
    main()
