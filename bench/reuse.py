"""Work that is not done twice: several missions, captions and votes, with and without what is kept.

    python -m bench.reuse --folder SOMEWHERE [--checkpoint demo|0.1B|0.5B] [--photos 8]
        [--size 1024x768] [--tokens 48] [--missions 3] [--votes 5] [--dtype float32] [--rounds 1]
        [--clock wall|cpu] [--rows lines captions votes]

Two engines of one process over the same checkpoint answer the same requests in turn: one keeps
nothing (`--reuse-memory 0`), one keeps what it does by default, and is emptied before each row.
`demo` is the bundled checkpoint with its adapter, others have random weights in Qwen3-VL's
proportions, as bench.engines makes them. `times one` compares with one mission, or one vote, by
the same engine. `same` are answers equal to the letter to those of the engine that keeps nothing.
`--clock cpu` counts seconds of processors, for a busy machine. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.engines import SHAPES, make_checkpoint
from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec, Reuse
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import Answer, Request
from shenhe.stages import caption, summary, verdict

ROWS = ("lines", "captions", "votes")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PROMPTS, MISSIONS = load_prompts(), list(load_missions())


@dataclass(frozen=True, slots=True)
class Job:
    """Requests of one row of the table, and the row that it is a multiple of."""

    name: str
    requests: list[Request]
    one: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a job by one engine; `decoded` are the photos that were."""

    seconds: float
    reuse: Reuse
    decoded: int
    texts: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--checkpoint", choices=("demo", *SHAPES), default="demo")
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--size", default="1024x768", help="of photos; demo: the bundled ones'")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--missions", type=int, default=3)
    parser.add_argument("--votes", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    photos = _draw(options)
    jobs = _jobs(photos[1:], options)
    engines = [_engine(options, megabytes) for megabytes in (0, None)]
    for engine in engines:  # the first passes of a process are slow
        list(engine.answer([_line(photos[0], 0, options.tokens)]))
    results: dict[str, list[list[Measured]]] = {job.name: [[], []] for job in jobs}
    for _ in range(options.rounds):
        for job in jobs:
            for engine, measured in zip(engines, results[job.name], strict=True):
                measured.append(_measure(engine, job.requests, CLOCKS[options.clock]))
    _print_table(jobs, results)


def _draw(options: argparse.Namespace) -> list[Path]:
    """Draw the photos, and one more to begin with."""
    photos = []
    for index in range(options.photos + 1):
        image = draw(photo_scene("test", index))
        if options.checkpoint != "demo":
            width, height = map(int, options.size.split("x"))
            image = image.resize((width, height))
        photos.append(options.folder / f"{index:05d}.png")
        image.save(photos[-1])
    return photos


def _engine(options: argparse.Namespace, megabytes: int | None) -> LocalEngine:
    model, adapters = "demo", ["demo"]
    if options.checkpoint != "demo":
        folder = options.folder / options.checkpoint
        if not folder.exists():
            make_checkpoint(options.checkpoint, folder)
        model, adapters = str(folder), []
    local = LocalOptions(dtype=options.dtype, reuse_memory=megabytes)
    return LocalEngine(EngineSpec(model=model, adapters=tuple(adapters), engine=local))


def _line(photo: Path, mission: int, tokens: int) -> Request:
    entry = MISSIONS[mission]
    return summary.request(f"{photo.stem} {entry.name}", photo, entry, PROMPTS.summary, tokens)


def _jobs(photos: Sequence[Path], options: argparse.Namespace) -> list[Job]:
    missions, tokens = range(options.missions), options.tokens
    one = [_line(photo, 0, tokens) for photo in photos]
    captions = [
        caption.request(f"{photo.stem} caption", [photo], PROMPTS.caption, tokens)
        for photo in photos
    ]
    both = [request for pair in zip(captions, one, strict=True) for request in pair]
    together = [_line(photo, mission, tokens) for photo in photos for mission in missions]
    after = [_line(photo, mission, tokens) for mission in missions for photo in photos]
    several = f"lines of {options.missions} missions"
    names = ("lines of one mission", "one verdict a group")
    rows = {
        "lines": [
            Job(names[0], one, names[0]),
            Job(f"{several}, photo by photo", together, names[0]),
            Job(f"{several}, one after the other", after, names[0]),
        ],
        "captions": [
            Job(names[0], one, names[0]),
            Job("a caption and a line of each", both, names[0]),
        ],
        "votes": [
            Job(names[1], _votes(photos, 1, tokens), names[1]),
            Job(f"{options.votes} votes a group", _votes(photos, options.votes, tokens), names[1]),
        ],
    }
    jobs = {job.name: job for row in options.rows for job in rows[row]}
    return list(jobs.values())


def _votes(photos: Sequence[Path], count: int, tokens: int) -> list[Request]:
    """Ask for verdicts on groups of eight lines; all but the first are sampled."""
    requests = []
    for number, photo in enumerate(photos):
        lines = {
            f"图片_{n}": f"BBU设备/华为/显示完整/无需安装×{n + number},螺丝/BBU安装螺丝/符合要求"
            for n in range(1, 9)
        }
        request = verdict.request("", lines, MISSIONS[0], PROMPTS.verdict, tokens)
        requests += [
            replace(request, key=f"{photo.stem} {vote}", temperature=0.7 if vote else 0.0)
            for vote in range(count)
        ]
    return requests


def _measure(engine: LocalEngine, requests: list[Request], clock: Callable[[], float]) -> Measured:
    engine._kept.clear()
    gc.collect()
    files, reused = engine._kept.photos.photos, engine._kept.photos.reused_photos
    before, began = engine.reuse, clock()
    answers = [answer for answer in engine.answer(requests) if isinstance(answer, Answer)]
    seconds = clock() - began
    texts = {answer.key: answer.text for answer in answers}
    opened = engine._kept.photos.photos - files
    decoded = opened - (engine._kept.photos.reused_photos - reused)
    return Measured(seconds, engine.reuse.since(before), decoded, texts)


def _print_table(jobs: list[Job], results: dict[str, list[list[Measured]]]) -> None:
    print(
        "| | nothing kept, s | times one | kept, s | times one | photos decoded |"
        " photos through the tower | tokens of prompts computed | same |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for job in jobs:
        cells = []
        for measured, ones in zip(results[job.name], results[job.one], strict=True):
            seconds = statistics.median(run.seconds for run in measured)
            one = statistics.median(run.seconds for run in ones)
            cells += [f"{seconds:.1f}", f"{seconds / one:.2f}"]
        plain, kept = (measured[-1] for measured in results[job.name])
        cells += [f"{kept.decoded} of {plain.decoded}"]
        cells += [
            f"{r.photos - r.reused_photos} of {p.photos - p.reused_photos}"
            for r, p in [(kept.reuse, plain.reuse)]
        ]
        computed = [run.reuse.prompt_tokens - run.reuse.reused_tokens for run in (kept, plain)]
        same = sum(kept.texts.get(key) == text for key, text in plain.texts.items())
        cells += [f"{computed[0]:,} of {computed[1]:,}", f"{same}/{len(job.requests)}"]
        print(f"| {job.name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
