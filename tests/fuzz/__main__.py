"""Fuzz parsers, one after the other: with atheris where it is installed, else with hypothesis.

    python -m tests.fuzz [--seconds 600] [PARSER ...]

Prints a table, and exits 1 if anything but the project's own errors was raised; the bytes that
raised it lie in .fuzz/PARSER/, and belong into tests/fuzz/corpus/ once it is mended.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.seeds import PARSER_NAMES, WORDS, seed_folder

WORK = Path(".fuzz")
LONGEST = 4096
"""Bytes of an input."""
SLOWEST = 10
"""Seconds that an input may take."""


def main() -> int:
    options = _options()
    if options.one:
        _fuzz(options.one, options.seconds)
        return 0
    print("| parser | by | inputs | seconds | edges covered | raised |\n|---|---|---|---|---|---|")
    bad = 0
    for name in options.parsers or PARSER_NAMES:
        began = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(options.seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        bad += run.returncode != 0
        seconds = time.monotonic() - began
        print(f"| {name} | {_figures(run.stdout, seconds, run.returncode)} |", flush=True)
        if run.returncode:
            print(run.stdout[-4000:], file=sys.stderr)
    return int(bad > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=", ".join(PARSER_NAMES))
    parser.add_argument("--seconds", type=int, default=600, help="for each (default: 600)")
    parser.add_argument("--one", choices=PARSER_NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.parsers) - set(PARSER_NAMES):
        parser.error(f"no such parser: {', '.join(sorted(unknown))}")
    return options


def _figures(output: str, seconds: float, code: int) -> str:
    by = "atheris" if _has_atheris() else "hypothesis"
    inputs = re.findall(r"^(?:#(\d+)|(\d+) inputs)", output, re.MULTILINE)
    edges = re.findall(r"cov: (\d+)", output)
    count = max((int(a or b) for a, b in inputs), default=0)
    raised = "nothing else" if code == 0 else re.findall(r"\w+(?:Error|Exception)\b", output)[-1:]
    return f"{by} | {count:,} | {seconds:.0f} | {edges[-1] if edges else '-'} | {raised}"


def _has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def _fuzz(name: str, seconds: int) -> None:
    folder = WORK / name
    (folder / "found").mkdir(parents=True, exist_ok=True)
    seeds = seed_folder(name, folder / "seeds")
    if _has_atheris():
        _by_atheris(name, seconds, folder, seeds)
    else:
        _by_hypothesis(name, seconds)


def _by_atheris(name: str, seconds: int, folder: Path, seeds: Path) -> None:
    import atheris  # type: ignore[import-untyped]  # installed by make fuzz alone

    with atheris.instrument_imports(include=["shenhe"]):
        from tests.fuzz.parsers import call
    words = folder / "words.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS), encoding="ascii")
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-timeout={SLOWEST}",
        "-rss_limit_mb=4096",
        f"-dict={words}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        str(folder / "found"),
        str(seeds),
    ]
    atheris.Setup(arguments, lambda data: call(name, data))
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass"))


def _by_hypothesis(name: str, seconds: int) -> None:
    """Mutate seeds without looking at what is covered, for as long."""
    from tests.fuzz.parsers import call
    from tests.fuzz.seeds import mutated

    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        for data in mutated(name, seed=count, count=1000):
            count += 1
            try:
                call(name, data)
            except BaseException:
                (WORK / name / "crash").write_bytes(data)
                raise
    print(f"{count} inputs")


if __name__ == "__main__":
    sys.exit(main())
