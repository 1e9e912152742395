"""Two versions of shenhe side by side, part by part, as their users run them.

    python -m bench.versions OLD_CHECKOUT --folder SOMEWHERE [--rounds 3] [--parts start merge ...]
        [--groups 20000]

Each round runs both versions one after the other, every measurement in processes of its own, on the
same files. The table gives medians, and the new version's as a multiple of the old one's. Parts:
`start` (the command line), `runs` (the machinery, with a scripted engine), `engine` (the bundled
checkpoint), `missions` (a whole run over the same photos, for one mission and for three), `real`
(two photos of 1024x768 with a random 2B checkpoint: 4.3 GB on disk), `merge` (into the same, 9 GB),
`photos` (decoding) and `review` (a run of `--groups` in Chromium).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NEW = Path(__file__).parent.parent
STARTS = 5
HELPS = (["--help"], ["run", "--help"], ["status", "--help"])
MISSIONS = ("挡风板安装检查", "BBU安装方式检查（正装）", "BBU接地线检查")
DEMO = ("--model", "demo", "--adapters", "demo")
PHOTO_ROWS = ("`shenhe.photos`: half decoded, torch's bicubic", "HEIC of 48 tiles", "PNG")
WAITS = ("first page again", "search", "next group", "a decision on disk, and the next group")


class Measurement(NamedTuple):
    """A figure of one version; higher is better for rates, lower for seconds and memory."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Version:
    """A checkout, a folder for what it writes, and one for what both read."""

    checkout: Path
    folder: Path
    shared: Path
    groups: int

    def seconds(self, *arguments: str) -> float:
        """Run a command of this version; return how long it took."""
        start = time.perf_counter()
        command = [sys.executable, "-m", "shenhe", *arguments]
        done = subprocess.run(command, env=self._environ(), check=False, stdout=subprocess.DEVNULL)
        if done.returncode not in (0, 1):  # 1: done, and some groups are undecided
            raise SystemExit(f"exit {done.returncode}: {' '.join(command)}")
        return time.perf_counter() - start

    def table(self, module: str, *arguments: str) -> str:
        """Run a benchmark of this version; return what it prints."""
        command = [sys.executable, "-m", module, *arguments]
        environ = self._environ()
        run = subprocess.run(
            command, cwd=self.checkout, env=environ, check=True, stdout=subprocess.PIPE, text=True
        )
        return run.stdout

    def output(self, name: str) -> Path:
        """Return a path for what a command writes, with nothing there."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def _environ(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": f"{self.checkout / 'src'}:{self.checkout}"}


def main() -> int:
    """Measure both versions and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--groups", type=int, default=20_000)
    options = parser.parse_args()
    folder = options.folder.absolute()
    versions = {
        name: Version(checkout, folder / name, folder / "shared", options.groups)
        for name, checkout in (("old", options.old.absolute()), ("new", NEW))
    }
    print("| | old | new | new / old |\n|---|---|---|---|")
    for part in options.parts:
        results: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for _ in range(options.rounds):
            for name, version in versions.items():
                for label, value in PARTS[part](version):
                    results[label][name].append(value)
                    print(f"{name}: {label}: {value:.3g}", file=sys.stderr, flush=True)
        for label, values in results.items():
            old, new = (statistics.median(values[name]) for name in versions)
            print(f"| {label} | {old:.3g} | {new:.3g} | {new / old:.2f} |", flush=True)
    return 0


def _measure_start(version: Version) -> Iterator[Measurement]:
    for arguments in HELPS:
        times = [version.seconds(*arguments) for _ in range(STARTS)]
        yield Measurement(f"`shenhe {' '.join(arguments)}`, s", min(times))


def _measure_runs(version: Version) -> Iterator[Measurement]:
    text = version.table("bench.runs", "--groups", str(version.groups))
    for title, seconds in re.findall(r"^(Stage-.*?): ([\d.]+) s", text, re.M):
        yield Measurement(f"{title}, {version.groups:,} groups, s", float(seconds))
    tenths = ", ".join(re.findall(r"tenth: (.*)$", text, re.M)).split(", ")
    yield Measurement("largest memory of a run, MB", max(map(float, tenths)))


def _measure_engine(version: Version) -> Iterator[Measurement]:
    for job, tokens in (("caption", "400"), ("line", "64")):
        arguments = ["--folder", str(version.folder), "--photos", "64", "--rounds", "1"]
        arguments += ["--batches", "64", "--job", job, "--tokens", tokens]
        text = version.table("bench.engines", *arguments)
        for name, rate in re.findall(r"^\| (shenhe[^|]*?) \| ([\d.]+) \|", text, re.M):
            yield Measurement(f"{name}, {job}s, photos/s", float(rate))


def _measure_missions(version: Version) -> Iterator[Measurement]:
    tree = version.shared / "tree"
    if not tree.exists():
        _plant(tree, groups=16, photos=4)
    for count in (1, len(MISSIONS)):
        asked = [word for mission in MISSIONS[:count] for word in ("--mission", mission)]
        places = ("--data-root", str(tree), "--output-dir", str(version.output("run")))
        seconds = version.seconds("run", *DEMO, "--dtype", "float32", *places, *asked)
        missions = f"{count} mission{'s' * (count > 1)}"
        yield Measurement(f"`shenhe run`, {missions} over the same 64 photos, s", seconds)


def _plant(tree: Path, *, groups: int, photos: int) -> None:
    """Lay the same photos, which differ from one another, under every mission."""
    from recipes.demo_checkpoint.draw import draw
    from recipes.demo_checkpoint.lessons import photo_scene

    for number in range(groups * photos):
        image = draw(photo_scene("test", number))
        for mission in MISSIONS:
            group = tree / mission / "审核通过" / f"QC-{number // photos:03d}"
            group.mkdir(parents=True, exist_ok=True)
            image.save(group / f"{number % photos}.png")


def _measure_real(version: Version) -> Iterator[Measurement]:
    base, tree = version.shared / "base-2B", version.shared / "two"
    _make_checkpoint(base)
    if not tree.exists():
        from bench.real_checkpoint import make_photos

        make_photos(tree / MISSIONS[0] / "审核通过" / "QC-001", (1024, 768), 2)
    seconds = version.seconds(
        *("summarize", "--model", str(base), "--dtype", "bfloat16", "--data-root", str(tree)),
        *("--mission", MISSIONS[0], "--output-dir", str(version.output("lines"))),
        *("--max-new-tokens", "48"),
    )
    yield Measurement("`shenhe summarize`, two photos of 1024x768, 2B in bfloat16, s", seconds)


def _make_checkpoint(base: Path) -> None:
    if not (base / "model.safetensors").exists():
        command = [sys.executable, "-m", "bench.real_checkpoint", "2B", str(base)]
        subprocess.run(command, check=True, cwd=NEW)


def _measure_merge(version: Version) -> Iterator[Measurement]:
    base, adapter = version.shared / "merge-2B", version.shared / "lora-2B"
    if not adapter.exists():
        from bench.merge import make

        make("2B", base, adapter)
    output = version.output("merged")
    places = ("--model", str(base), "--adapters", str(adapter), "--output-dir", str(output))
    yield Measurement("`shenhe merge`, 2B, s", version.seconds("merge", *places))
    shutil.rmtree(output)


def _measure_photos(version: Version) -> Iterator[Measurement]:
    text = version.table("bench.photos", "--photos", "12")
    for name, first, second in re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|", text, re.M):
        if name == PHOTO_ROWS[0]:
            yield Measurement(
                "a photo of 12 megapixels to the model's pixels, ms", 1e3 / float(first)
            )
        elif name in PHOTO_ROWS:
            yield Measurement(f"{name}: decoded and looked at, ms", float(second))


def _measure_review(version: Version) -> Iterator[Measurement]:
    folder = version.output("review")
    folder.mkdir()
    text = version.table(
        "bench.review", "--folder", str(folder), "--groups", str(version.groups), "--steps", "25"
    )
    for name, median in re.findall(r"^\| ([^|]+) \| (\d+) \|", text, re.M):
        if name in WAITS:
            yield Measurement(f"review, {version.groups:,} groups: {name}, ms", float(median))


PARTS: dict[str, Callable[[Version], Iterator[Measurement]]] = {
    "start": _measure_start,
    "runs": _measure_runs,
    "engine": _measure_engine,
    "missions": _measure_missions,
    "real": _measure_real,
    "merge": _measure_merge,
    "photos": _measure_photos,
    "review": _measure_review,
}
"""What is measured, by its name on the command line."""


if __name__ == "__main__":
    sys.exit(main())
