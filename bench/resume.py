"""Time and memory that a resumed run needs to find the groups that are done: ten million rows.

    python -m bench.resume --folder SOMEWHERE [--rows 10000000]

Writes Stage-A rows as runs write them, then opens the output as a resumed run does: without an
index, so that all rows are read; with the index, and some rows that are new to it; then looks up
every group once. Each step is a process of its own. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MISSION = "挡风板安装检查"
NEW = 100_000
OPEN = """
import resource, sys, time
from contextlib import closing
from pathlib import Path
from shenhe.rows.keys import key_of
from shenhe.rows.row_index import RowIndex
from bench.resume import keys
began = time.perf_counter()
with closing(RowIndex(Path(sys.argv[1]), key_of)) as index:
    count = len(index)
    if len(sys.argv) > 2:
        assert all(key in index for key in keys(count))
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, count)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = options.folder / f"{MISSION}.jsonl"
    write(rows, 0, options.rows)
    print(f"rows: {rows.stat().st_size / 1e9:.1f} GB")
    print("| | rows | seconds | MB |")
    print("|---|---|---|---|")
    _measure("no index: all rows are read", rows)
    _measure("with the index", rows)
    write(rows, options.rows, NEW)
    _measure(f"with the index, and {NEW:,} rows that it has not seen", rows)
    _measure("every group looked up", rows, "lookup")
    index = rows.with_name(f".{rows.stem}.index.sqlite")
    print(f"index: {index.stat().st_size / 1e9:.2f} GB")


def write(rows: Path, start: int, count: int) -> None:
    """Append rows with two photos each."""
    images = [f"/photos/{MISSION}/审核通过/QC-20230222-0000000/img-00{n}.jpeg" for n in (1, 2)]
    lines = {f"图片_{n}": "BBU设备/华为/显示完整/安装牢固，螺丝、光纤插头/符合要求" for n in (1, 2)}
    answer: dict[str, object] = {
        "raw": lines["图片_1"],
        "finish_reason": "stop",
        "attempts": 1,
        "prompt_tokens": 120,
    }
    answer |= {"new_tokens": 20, "repairs": [], "original_wh": [640, 512], "resized_wh": [320, 256]}
    meta: dict[str, object] = {
        "schema": 1,
        "prompt_hash": "0" * 16,
        "checkpoint": "0" * 16,
        "inputs_hash": None,
    }
    meta["answers"] = dict.fromkeys(lines, answer)
    row: dict[str, object] = {
        "group_id": "@",
        "mission": MISSION,
        "label": "pass",
        "images": images,
    }
    row |= {"per_image": lines, "timestamp": "2026-01-01T00:00:00.000000Z", "meta": meta}
    before, after = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode().split(b"@")
    with rows.open("ab", buffering=1 << 24) as file:
        for number in range(start, start + count):
            file.write(b"%bQC-20230222-%09d%b\n" % (before, number, after))


def keys(count: int) -> Iterator[str]:
    """Yield the keys of the first rows, in order."""
    from shenhe.values import group_key

    return (group_key(MISSION, "pass", f"QC-20230222-{number:09d}") for number in range(count))


def _measure(label: str, rows: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", OPEN, str(rows), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes, count = map(float, done.stdout.split())
    print(f"| {label} | {count:,.0f} | {seconds:.1f} | {megabytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
