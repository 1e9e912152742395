"""How long acceptance sheets take, and how much memory: a process for each form.

python -m bench.sheets --folder SOMEWHERE [--groups 200000] [--documents 5000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.review.runs import FAIL, PASS, Group, write_run

PHOTOS = 3
SIZE_WH = (800, 600)
"""Units: pixels."""
MAKE = """
import sys
from pathlib import Path
from shenhe.report.sheet.write import SheetRequest, write_sheet
run, form, path, most = sys.argv[1:]
write_sheet(SheetRequest(Path(run), form, max_groups=int(most)), Path(path))
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=200_000)
    parser.add_argument("--documents", type=int, default=5_000)
    options = parser.parse_args()
    run_dir = _write(options.folder, options.groups, options.documents)
    print("| sheet | groups | seconds | MB | memory, MB |\n|---|---|---|---|---|")
    for form, count in (("xlsx", options.groups), ("pdf", 500), ("docx", 500)):
        _measure(run_dir, form, count)
    for form in ("pdf", "docx"):
        _measure(run_dir, form, options.documents)


def _measure(run_dir: Path, form: str, groups: int) -> None:
    path = run_dir.parent / f"sheet-{groups}.{form}"
    start = time.monotonic()
    command = [sys.executable, "-c", MAKE, str(run_dir), form, str(path), str(groups)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.monotonic() - start
    size, memory = path.stat().st_size / 1e6, int(done.stdout) / 1024
    print(f"| {form} | {groups:,} | {seconds:.1f} | {size:.1f} | {memory:,.0f} |", flush=True)


def _write(folder: Path, groups: int, documents: int) -> Path:
    """Write a run whose groups have photos of their own, as far as documents show them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        Group(f"QC-{n:07d}", FAIL if n % 7 == 0 else PASS, "fail" if n % 5 == 0 else "pass")
        for n in range(groups)
    ]
    run_dir = write_run(folder / "run", rows, [folder / "0-0.jpg"] * PHOTOS)
    stage_a = next((run_dir / "stage_a").glob("*.jsonl"))
    lines = stage_a.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        row = json.loads(line)
        images = [folder / f"{number % documents}-{index}.jpg" for index in range(PHOTOS)]
        lines[number] = json.dumps(row | {"images": list(map(str, images))}, ensure_ascii=False)
    stage_a.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw = np.random.default_rng(3)
    for number in range(documents):
        for index in range(PHOTOS):
            coarse = draw.integers(0, 255, (12, 16, 3), np.uint8)
            picture = Image.fromarray(coarse).resize(SIZE_WH, Image.Resampling.BILINEAR)
            picture.save(folder / f"{number}-{index}.jpg", quality=85)
    return run_dir


if __name__ == "__main__":
    main()
