"""The same figures as pycocotools, to a millionth."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from shenhe.evaluation.average_precision import (
    THRESHOLDS,
    PhotoOverlaps,
    average_precision,
    mean_average_precision,
)
from shenhe.geometry import Box, iou

CATEGORIES = 3
Boxes = list[tuple[int, Box]]
"""Categories and boxes of one photo."""


def _photo(rng: random.Random) -> tuple[Boxes, Boxes]:
    """What is there, and what was said of it: moved, missed, doubled and invented boxes."""
    true: Boxes = []
    said: Boxes = []
    for _ in range(rng.randint(0, 6)):
        x, y, w, h = (rng.randint(0, 500) for _ in range(4))
        category = rng.randrange(CATEGORIES)
        true.append((category, Box(x, y, x + w + 20, y + h + 20)))
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            dx, dy = rng.randint(-40, 40), rng.randint(-40, 40)
            box = Box(x + dx, y + dy, x + dx + w + 20, y + dy + h + 20)
            said.append((category if rng.random() < 0.9 else rng.randrange(CATEGORIES), box))
    if rng.random() < 0.3:
        said.append((rng.randrange(CATEGORIES), Box(700, 700, 800, 900)))
    rng.shuffle(said)
    return true, said


def _coco(photos: list[tuple[Boxes, Boxes]]) -> tuple[float, float]:
    def rows(which: int) -> list[dict[str, object]]:
        return [
            {
                "image_id": number,
                "category_id": category + 1,
                "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
                "area": (box.x2 - box.x1) * (box.y2 - box.y1),
                "iscrowd": 0,
                "score": 1.0,
            }
            for number, photo in enumerate(photos, 1)
            for category, box in photo[which]
        ]

    truth = [row | {"id": at} for at, row in enumerate(rows(0), 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(1, len(photos) + 1)],
            "annotations": truth,
            "categories": [{"id": number + 1} for number in range(CATEGORIES)],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(rows(1)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[1]), float(run.stats[0])


@pytest.mark.parametrize("seed", range(12))
def test_boxes_equal_pycocotools(seed: int) -> None:
    rng = random.Random(seed)
    photos = [_photo(rng) for _ in range(20)]
    categories = [
        [
            PhotoOverlaps(
                np.array(
                    [[iou(a, b) for c, b in true if c == at] for d, a in said if d == at]
                ).reshape(sum(d == at for d, _ in said), sum(c == at for c, _ in true))
            )
            for true, said in photos
        ]
        for at in range(CATEGORIES)
    ]
    at_half, over_all = _coco(photos)
    assert mean_average_precision(categories, THRESHOLDS[:1]) == pytest.approx(at_half, abs=1e-6)
    assert mean_average_precision(categories, THRESHOLDS) == pytest.approx(over_all, abs=1e-6)


def test_nothing_to_find_is_no_figure() -> None:
    assert average_precision([PhotoOverlaps(np.zeros((2, 0)))], 0.5) is None
    assert mean_average_precision([], THRESHOLDS) is None
    assert average_precision([PhotoOverlaps(np.zeros((0, 2)))], 0.5) == 0
