"""Mean average precision as COCO measures it, over any overlap.

A caption gives no confidence, so that all objects count as equally sure, in the order of photos
and objects: pycocotools, given scores of 1, ranks them the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = np.linspace(0, 1, 101)
MOST_OBJECTS = 100
"""More objects of one category on one photo are passed over, as COCO does."""


@dataclass(frozen=True, slots=True)
class PhotoOverlaps:
    """Overlaps of one category on one photo. Shape: (said, true), 0 to 1."""

    overlaps: np.ndarray


def average_precision(photos: Sequence[PhotoOverlaps], threshold: float) -> float | None:
    """Average the precision over 101 recalls; None where nothing is to be found.

    Source: pycocotools, `evaluateImg` and `accumulate`.
    """
    total = sum(photo.overlaps.shape[1] for photo in photos)
    if not total:
        return None
    hits = np.concatenate([_hits(photo.overlaps[:MOST_OBJECTS], threshold) for photo in photos])
    found = np.cumsum(hits)
    recall = found / total
    precision = found / (np.arange(1, len(hits) + 1) + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(at < len(hits), np.append(precision, 0.0)[at], 0.0).mean())


def mean_average_precision(
    categories: Sequence[Sequence[PhotoOverlaps]], thresholds: Sequence[float]
) -> float | None:
    """Average over categories and thresholds; None where no category has anything to find."""
    values = [
        value
        for photos in categories
        for threshold in thresholds
        if (value := average_precision(photos, threshold)) is not None
    ]
    return float(np.mean(values)) if values else None


def _hits(overlaps: np.ndarray, threshold: float) -> np.ndarray:
    """Match each said object, in order, to the best true one still free. Shape: (said,) bool."""
    free = np.ones(overlaps.shape[1], bool)
    hits = np.zeros(len(overlaps), bool)
    for at, row in enumerate(overlaps):
        best, found = min(threshold, 1 - 1e-10), -1
        for other in np.flatnonzero(free):
            if row[other] >= best:
                best, found = row[other], int(other)
        if found >= 0:
            free[found], hits[at] = False, True
    return hits
