"""Write photos that training never saw, and what is on them as training rows.

python -m recipes.demo_checkpoint.held_out --photos 64 --output held-out
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from recipes.demo_checkpoint.draw import SCALE, draw
from recipes.demo_checkpoint.lessons import photo_scene
from recipes.demo_checkpoint.scenes import CANVAS
from shenhe.exports import write_export
from shenhe.formats.desc import category
from shenhe.geometry import Size
from shenhe.values import Annotation

JPEG_QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--split", default="test")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    annotations = _photos(options.output, options.split, options.photos)
    truth = options.output / "truth.jsonl"
    losses: Counter[str] = write_export("training", annotations, truth, category, overwrite=True)
    assert not losses
    print(truth)


def _photos(folder: Path, split: str, count: int) -> Iterator[Annotation]:
    size = Size(CANVAS.width * SCALE, CANVAS.height * SCALE)
    for index in range(count):
        scene = photo_scene(split, index)
        path = folder / f"photo-{index:03d}.jpg"
        draw(scene).save(path, quality=JPEG_QUALITY)
        yield Annotation(path, size, scene.objects)


if __name__ == "__main__":
    main()
