"""Two versions of shenhe side by side: the local engine, the machinery of runs, start-up.

    python -m bench.versions OLD_CHECKOUT --folder SOMEWHERE [--rounds 3]

Each round runs both versions one after the other, every measurement in processes of its own. The
table gives medians, and the new version's as a multiple of the old one's.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NEW = Path(__file__).parent.parent
STARTS = 5
HELPS = (["--help"], ["run", "--help"], ["status", "--help"])


class Measurement(NamedTuple):
    """A figure of one version; higher is better for rates, lower for seconds and memory."""

    name: str
    value: float


def main() -> int:
    """Measure both versions and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--groups", type=int, default=20_000)
    options = parser.parse_args()
    results: dict[str, dict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(options.rounds):
        for checkout in (options.old.absolute(), NEW):
            folder = options.folder.absolute() / ("new" if checkout == NEW else "old")
            for name, value in _measure(checkout, folder, options.groups):
                results[name][checkout].append(value)
                print(f"{folder.name}: {name}: {value:.3g}", file=sys.stderr)
    print("| | old | new | new / old |\n|---|---|---|---|")
    for name, values in results.items():
        old, new = (statistics.median(values[checkout]) for checkout in values)
        print(f"| {name} | {old:.3g} | {new:.3g} | {new / old:.2f} |")
    return 0


def _measure(checkout: Path, folder: Path, groups: int) -> Iterator[Measurement]:
    for arguments in HELPS:
        times = [_seconds(checkout, arguments) for _ in range(STARTS)]
        yield Measurement(f"`shenhe {' '.join(arguments)}`, s", min(times))
    text = _run(checkout, "bench.runs", "--groups", str(groups))
    for title, seconds in re.findall(r"^(Stage-.*?): ([\d.]+) s", text, re.M):
        yield Measurement(f"{title}, {groups:,} groups, s", float(seconds))
    tenths = ", ".join(re.findall(r"tenth: (.*)$", text, re.M)).split(", ")
    yield Measurement("largest memory of a run, MB", max(map(float, tenths)))
    for job, tokens in (("caption", "400"), ("line", "64")):
        arguments = ["--folder", str(folder), "--photos", "64", "--rounds", "1", "--batches", "64"]
        text = _run(checkout, "bench.engines", *arguments, "--job", job, "--tokens", tokens)
        for name, rate in re.findall(r"^\| (shenhe[^|]*?) \| ([\d.]+) \|", text, re.M):
            yield Measurement(f"{name}, {job}s, photos/s", float(rate))


def _seconds(checkout: Path, arguments: list[str]) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "shenhe", *arguments]
    subprocess.run(command, env=_environ(checkout), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _run(checkout: Path, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(
        command, cwd=checkout, env=_environ(checkout), check=True, stdout=subprocess.PIPE, text=True
    )
    return run.stdout


def _environ(checkout: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{checkout / 'src'}:{checkout}"}


if __name__ == "__main__":
    sys.exit(main())
