"""How long a resumed run takes to see that no group has changed: every folder is listed once.

    python -m bench.changes --folder SOMEWHERE [--groups 100000] [--photos 5]

Makes a tree of small files, writes the row of every group by an engine that answers at once, and
then compares all rows with the tree: as it is, with other times, and with one group in a hundred
changed. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from shenhe.config import load_missions, load_prompts
from shenhe.geometry import Size
from shenhe.intake import PhotoTree
from shenhe.messages import Answer, PhotoSize, Request
from shenhe.rows.keys import key_of, rows_file
from shenhe.rows.row_index import RowIndex
from shenhe.runs import RunOptions, run_summaries
from shenhe.runs.photo_changes import find_changes

MISSION = load_missions().get("挡风板安装检查")


class AtOnce:
    """An engine with one answer for every photo, given at once."""

    fingerprint = "at once"

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        size = PhotoSize(Size(64, 48), Size(64, 32))
        for request in requests:
            yield Answer(request.key, "无关图片", "stop", 1, 1, sizes=(size,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--photos", type=int, default=5)
    options = parser.parse_args()
    tree, out = options.folder / "tree", options.folder / "out"
    label_folder = tree / MISSION.name / "审核通过"
    for number in range(options.groups):
        folder = label_folder / f"QC-20230222-{number:07d}"
        folder.mkdir(parents=True, exist_ok=True)
        for photo in range(options.photos):
            (folder / f"img-{photo}.jpg").write_bytes(b"\xff\xd8%d %d" % (number, photo))
    began = time.perf_counter()
    run_summaries(
        AtOnce(),  # type: ignore[arg-type]
        PhotoTree(tree),
        MISSION,
        load_prompts().summary,
        out,
        engine_options={},
        run=RunOptions(),
    )
    print(f"all rows written in {time.perf_counter() - began:.1f} s")
    print("| | groups | changed | seconds | MB |")
    print("|---|---|---|---|---|")
    _print_comparison("as it is", tree, out)
    for number in range(0, options.groups, 100):
        (label_folder / f"QC-20230222-{number:07d}" / "img-0.jpg").write_bytes(b"\xff\xd8 replaced")
    _print_comparison("one in a hundred replaced", tree, out)
    for path in label_folder.glob("*/*.jpg"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
    _print_comparison("all times another, so that photos are read", tree, out)
    _print_comparison("the same again", tree, out)


def _print_comparison(label: str, tree: Path, out: Path) -> None:
    path = rows_file(out, MISSION.name)
    began = time.perf_counter()
    with closing(RowIndex(path, key_of)) as done:
        stale = find_changes(PhotoTree(tree), MISSION, path, done)
        count = len(done)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    seconds = time.perf_counter() - began
    print(f"| {label} | {count:,} | {len(stale.keys):,} | {seconds:.1f} | {megabytes:.0f} |")


if __name__ == "__main__":
    main()
