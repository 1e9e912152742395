"""Measure the demo checkpoint on photos and groups that training never saw, through the product.

    python -m recipes.demo_checkpoint.evaluate --model demo --adapters demo

No output constraint and no retry: what the model writes is what counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.groups import GROUND, KINDS_OF, MadeGroup, make_group
from recipes.demo_checkpoint.lessons import MISSION_OF, MISSIONS, PROMPTS, photo_scene
from recipes.demo_checkpoint.scenes import KINDS, Scene
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.errors import FormatError
from shenhe.formats import caption, summary
from shenhe.geometry import iou
from shenhe.messages import Answer, Request
from shenhe.stages import caption as caption_stage
from shenhe.stages import summary as summary_stage
from shenhe.stages import verdict as verdict_stage
from shenhe.values import Caption, CaptionObject, photo_key

JPEG_QUALITY = 92


@dataclass(slots=True)
class Tally:
    """Counts of one measurement."""

    counts: Counter[str] = field(default_factory=Counter)
    per_desc: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def share(self, part: str, whole: str) -> float:
        return self.counts[part] / self.counts[whole] if self.counts[whole] else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--adapters", action="append", default=[])
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--split", default="test")
    parser.add_argument("--kinds", choices=("all", "ground", "other"), default="all")
    options = parser.parse_args()
    engine = LocalEngine(
        EngineSpec(
            model=options.model,
            adapters=tuple(options.adapters),
            batch_size=16,
            engine=LocalOptions(dtype="float32"),
        )
    )
    ground = KINDS_OF[GROUND]
    kinds = {
        "all": KINDS,
        "ground": ground,
        "other": tuple(kind for kind in KINDS if kind not in ground),
    }[options.kinds]
    missions = [mission for mission in KINDS_OF if not set(KINDS_OF[mission]).isdisjoint(kinds)]
    with tempfile.TemporaryDirectory() as folder:
        result = _photos(engine, Path(folder), options.split, options.photos, kinds)
        result |= _groups(engine, Path(folder), options.split, options.groups, missions)
    print(json.dumps(result, ensure_ascii=False, indent=2))


def _photos(
    engine: LocalEngine, folder: Path, split: str, count: int, kinds: tuple[str, ...]
) -> dict[str, object]:
    scenes = [photo_scene(split, index, kinds) for index in range(count)]
    paths = _write(scenes, folder, "photo")
    tally = Tally()
    asked = [
        caption_stage.request(str(i), [path], PROMPTS.caption, 640) for i, path in enumerate(paths)
    ]
    for number, text in _texts(engine, asked):
        tally.counts["captions"] += 1
        try:
            said = caption.parse(text.text, 1)
        except FormatError:
            said = Caption(((),))
        else:
            tally.counts["parsed"] += 1
        _compare(tally, said.photos[0], scenes[number].objects)
    asked = [
        summary_stage.request(str(i), path, MISSIONS.get(_mission(scene, i)), PROMPTS.summary, 256)
        for i, (path, scene) in enumerate(zip(paths, scenes, strict=True))
    ]
    for number, text in _texts(engine, asked):
        tally.counts["lines"] += 1
        tally.counts["lines right"] += text.text == summary.render(scenes[number].descs)
    precision, recall = tally.share("matched", "said"), tally.share("matched", "true")
    return {
        "photos": count,
        "captions that parse": round(tally.share("parsed", "captions"), 4),
        "precision at IoU 0.5": round(precision, 4),
        "recall at IoU 0.5": round(recall, 4),
        "desc exactly right of matched": round(tally.share("desc right", "matched"), 4),
        "Stage-A line exactly right": round(tally.share("lines right", "lines"), 4),
        "found, and desc right, by desc": {
            desc: f"{c['found']}/{c['true']} {c['right']}/{c['found']}"
            for desc, c in sorted(tally.per_desc.items())
        },
    }


def _groups(
    engine: LocalEngine, folder: Path, split: str, count: int, missions: Sequence[str]
) -> dict[str, object]:
    made = [make_group(missions[i % len(missions)], f"{split}/{i}") for i in range(count)]
    given = _judged(engine, made, [group.lines for group in made])
    requests = []
    for index, group in enumerate(made):
        paths = _write(group.scenes, folder, f"group{index}")
        requests += [
            summary_stage.request(
                f"{index}/{at}", path, MISSIONS.get(group.mission), PROMPTS.summary, 256
            )
            for at, path in enumerate(paths)
        ]
    seen: dict[int, dict[int, str]] = defaultdict(dict)
    for answer in engine.answer(requests):
        assert isinstance(answer, Answer)
        group_index, photo_index = map(int, answer.key.split("/"))
        seen[group_index][photo_index] = answer.text
    lines = [[seen[i][at] for at in range(len(group.lines))] for i, group in enumerate(made)]
    whole = _judged(engine, made, lines)
    result: dict[str, object] = {"groups": count}
    for name, rulings in (("given true lines", given), ("end to end", whole)):
        right = [
            ruling == group.judgement.verdict for ruling, group in zip(rulings, made, strict=True)
        ]
        passed = [
            r for r, group in zip(rulings, made, strict=True) if group.judgement.verdict == "不通过"
        ]
        result[f"verdict right, {name}"] = round(sum(right) / count, 4)
        result[f"false passes, {name}"] = f"{passed.count('通过')}/{len(passed)}"
        result[f"verdict right by mission, {name}"] = {
            m: f"{sum(ok for ok, g in zip(right, made, strict=True) if g.mission == m)}"
            f"/{sum(g.mission == m for g in made)}"
            for m in missions
        }
    return result


def _judged(
    engine: LocalEngine, made: Sequence[MadeGroup], lines: Sequence[Iterable[str]]
) -> list[str | None]:
    requests = [
        verdict_stage.request(
            str(i),
            {photo_key(at): line for at, line in enumerate(own)},
            MISSIONS.get(group.mission),
            PROMPTS.verdict,
        )
        for i, (group, own) in enumerate(zip(made, lines, strict=True))
    ]
    rulings: list[str | None] = [None] * len(made)
    for number, answer in _texts(engine, requests):
        try:
            rulings[number] = verdict_stage.read(answer).verdict
        except FormatError:
            continue
    return rulings


def _compare(tally: Tally, said: Sequence[CaptionObject], true: Sequence[CaptionObject]) -> None:
    """Match objects greedily by overlap, one to one."""
    pairs = sorted(
        ((iou(a.shape, b.shape), i, j) for i, a in enumerate(said) for j, b in enumerate(true)),
        reverse=True,
    )
    used_said: set[int] = set()
    used_true: set[int] = set()
    for overlap, i, j in pairs:
        if overlap < 0.5 or i in used_said or j in used_true:
            continue
        used_said.add(i)
        used_true.add(j)
        tally.counts["desc right"] += said[i].desc == true[j].desc
        tally.per_desc[true[j].desc]["right"] += said[i].desc == true[j].desc
    for j, thing in enumerate(true):
        tally.per_desc[thing.desc]["true"] += 1
        tally.per_desc[thing.desc]["found"] += j in used_true
    tally.counts.update({"matched": len(used_said), "said": len(said), "true": len(true)})


def _texts(engine: LocalEngine, requests: list[Request]) -> Iterable[tuple[int, Answer]]:
    for answer in engine.answer(requests):
        assert isinstance(answer, Answer), answer
        yield int(answer.key), answer


def _write(scenes: Iterable[Scene], folder: Path, name: str) -> list[Path]:
    paths = []
    for index, scene in enumerate(scenes):
        path = folder / f"{name}-{index}.jpg"
        draw(scene).save(path, quality=JPEG_QUALITY)
        paths.append(path)
    return paths


def _mission(scene: Scene, index: int) -> str:
    return MISSION_OF.get(scene.kind) or list(KINDS_OF)[index % len(KINDS_OF)]


if __name__ == "__main__":
    main()
