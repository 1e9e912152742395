"""Mean average precision as COCO measures it, over any overlap.

A caption gives no confidence, so that all objects have the same score, in the order of photos and
objects: pycocotools, given scores of 1, ranks them the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = np.linspace(0, 1, 101)
MAX_OBJECTS = 100
"""Maximum number of objects of one category on one photo; COCO ignores further ones."""


@dataclass(frozen=True, slots=True)
class PhotoOverlaps:
    """Overlaps of one category on one photo. Shape: (predicted, actual), 0 to 1."""

    overlaps: np.ndarray


def average_precision(photos: Sequence[PhotoOverlaps], threshold: float) -> float | None:
    """Average the precision over 101 recalls; None if there are no actual objects.

    Source: pycocotools, `evaluateImg` and `accumulate`.
    """
    total = sum(photo.overlaps.shape[1] for photo in photos)
    if not total:
        return None
    hits = np.concatenate([_match_greedily(p.overlaps[:MAX_OBJECTS], threshold) for p in photos])
    true_positives = np.cumsum(hits)
    recall = true_positives / total
    precision = true_positives / (np.arange(1, len(hits) + 1) + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    indices = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(indices < len(hits), np.append(precision, 0.0)[indices], 0.0).mean())


def mean_average_precision(
    categories: Sequence[Sequence[PhotoOverlaps]], thresholds: Sequence[float]
) -> float | None:
    """Average over categories and thresholds; None if no category has an actual object."""
    values = [
        value
        for photos in categories
        for threshold in thresholds
        if (value := average_precision(photos, threshold)) is not None
    ]
    return float(np.mean(values)) if values else None


def _match_greedily(overlaps: np.ndarray, threshold: float) -> np.ndarray:
    """Match each predicted object, in order, to the best actual one still free.

    Shape: (predicted, actual) in, (predicted,) bool out.
    """
    free = np.ones(overlaps.shape[1], bool)
    hits = np.zeros(len(overlaps), bool)
    for predicted, row in enumerate(overlaps):
        best_overlap, best = min(threshold, 1 - 1e-10), -1
        for actual in np.flatnonzero(free):
            if row[actual] >= best_overlap:
                best_overlap, best = row[actual], int(actual)
        if best >= 0:
            free[best], hits[predicted] = False, True
    return hits
