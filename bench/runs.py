"""100,000 groups through Stage-A and Stage-B with a scripted engine: memory, and the resume scan.

    python -m bench.runs [--groups 100000]

The work is empty but valid: what is measured is the machinery between the tree and the rows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import psutil

from shenhe.config import load_missions, load_prompts
from shenhe.intake import PhotoTree
from shenhe.messages import Answer, Request
from shenhe.runs import RunOptions, find_stage_a, run_summaries, run_verdicts

MISSIONS, PROMPTS = load_missions(), load_prompts()
MISSION = MISSIONS.get("挡风板安装检查")


class Scripted:
    """Says the same to everything, and notes the memory every so often."""

    fingerprint = "scripted"

    def __init__(self, text: str, every: int) -> None:
        self.text, self.every, self.asked = text, every, 0
        self.megabytes: list[float] = []

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        for request in requests:
            if self.asked % self.every == 0:
                self.megabytes.append(psutil.Process().memory_info().rss / 1e6)
            self.asked += 1
            yield Answer(request.key, self.text, "stop", 1, 1, attempt=request.attempt)

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        yield self.text
        return Answer(request.key, self.text, "stop", 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=100_000)
    groups = parser.parse_args().groups
    with tempfile.TemporaryDirectory() as folder:
        tree, out = Path(folder) / "tree", Path(folder) / "out"
        for number in range(groups):
            group = tree / MISSION.name / "审核通过" / f"QC-{number:07d}"
            group.mkdir(parents=True)
            (group / "img-1.jpg").touch()
        print(f"groups: {groups}")
        for stage in ("Stage-A", "Stage-B"):
            text = "无关图片" if stage == "Stage-A" else "不通过\n理由: 图片_1至图片_1未见BBU设备"
            for title in ("first run", "same command again"):
                engine = Scripted(text, max(1, groups // 10))
                began = time.monotonic()
                _run(stage, engine, tree, out)
                seconds = time.monotonic() - began
                memory = ", ".join(f"{value:.0f}" for value in engine.megabytes)
                print(f"{stage}, {title}: {seconds:.1f} s, {engine.asked} requests", end="")
                print(f", MB at each tenth: {memory}" if memory else "")


def _run(stage: str, engine: Scripted, tree: Path, out: Path) -> None:
    options: dict[str, object] = {}
    if stage == "Stage-A":
        run_summaries(
            engine,
            PhotoTree(tree),
            MISSION,
            PROMPTS.summary,
            out / "a",
            engine_options=options,
            run=RunOptions(),
        )
    else:
        (source,) = find_stage_a(out / "a", MISSIONS)
        run_verdicts(
            engine, source, PROMPTS.verdict, out / "b", engine_options=options, run=RunOptions()
        )


if __name__ == "__main__":
    main()
