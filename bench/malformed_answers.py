"""How many malformed answers a model of random weights writes: held to its formats, and free.

    python -m bench.malformed_answers [--answers 10000]

The bundled model's shape with random weights knows no format at all: the hardest case there is.
Half of the answers are captions, a quarter Stage-A lines, a quarter verdicts, all sampled. Lines
and verdicts are read by the strict parsers, captions by the tolerant one. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.errors import FormatError
from shenhe.formats import summary as summary_format
from shenhe.formats import verdict as verdict_format
from shenhe.formats.caption_recovery import recover
from shenhe.messages import Answer, Request
from shenhe.stages import caption, summary, verdict

CROSSINGS = ("quad_crossing", "poly_crossing")
PHOTOS, CAPTION_TOKENS, LINE_TOKENS = 200, 96, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=10_000)
    options = parser.parse_args()
    print(
        "| | answers | malformed | with a polygon that crosses itself |"
        " objects put right or dropped | cut at the limit |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        photos = _photos(Path(folder))
        for name, constrain, count in (
            ("held to the format", True, options.answers),
            ("free", False, options.answers // 20),
        ):
            counts = _count(_engine(constrain), list(_requests(photos, count)))
            for kind in ("caption", "line", "verdict"):
                print(
                    f"| {kind}, {name} | {counts[kind]} | {counts[kind, 'bad']} |"
                    f" {counts[kind, 'crossing']} | {counts[kind, 'mended']} |"
                    f" {counts[kind, 'cut']} |",
                    flush=True,
                )


def _engine(constrain: bool) -> LocalEngine:
    spec = EngineSpec(
        model="demo", constrain=constrain, temperature=1.0, engine=LocalOptions(dtype="float32")
    )
    engine = LocalEngine(spec)
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in engine._model.parameters():
            weight.copy_(torch.randn_like(weight) * weight.std().nan_to_num(0.1))
    return engine


def _photos(folder: Path) -> list[Path]:
    paths = []
    for index in range(PHOTOS):
        paths.append(folder / f"{index}.png")
        draw(photo_scene("test", index)).save(paths[-1])
    return paths


def _requests(photos: list[Path], count: int) -> Iterator[Request]:
    prompts, mission = load_prompts(), next(iter(load_missions()))
    for number in range(count):
        photo = photos[number % len(photos)]
        if number % 4 < 2:
            request = caption.request("", [photo], prompts.caption, CAPTION_TOKENS)
            kind = "caption"
        elif number % 4 == 2:
            request = summary.request("", photo, mission, prompts.summary, LINE_TOKENS)
            kind = "line"
        else:
            lines = {"图片_1": f"标签/可以识别×{number}"}
            request = verdict.request("", lines, mission, prompts.verdict, LINE_TOKENS)
            kind = "verdict"
        yield replace(request, key=f"{kind} {number}")


def _count(engine: LocalEngine, requests: list[Request]) -> Counter[object]:
    counts: Counter[object] = Counter()
    for answer in engine.answer(requests):
        assert isinstance(answer, Answer)
        kind = answer.key.split()[0]
        counts[kind] += 1
        counts[kind, "cut"] += answer.finish_reason != "stop"
        try:
            if kind == "line":
                summary_format.parse(answer.text)
            elif kind == "verdict":
                verdict_format.parse(answer.text)
            else:
                repairs = list(map(str, recover(answer.text, 1).repairs))
                counts[kind, "mended"] += bool(repairs)
                counts[kind, "crossing"] += any("crosses itself" in repair for repair in repairs)
        except FormatError as error:
            counts[kind, "crossing" if error.code in CROSSINGS else "bad"] += 1
    return counts


if __name__ == "__main__":
    main()
