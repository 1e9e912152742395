"""Captions against truth: where things are, what is said of them, and both at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shenhe.errors import IntakeError, spelled
from shenhe.evaluation.average_precision import (
    THRESHOLDS,
    PhotoOverlaps,
    mean_average_precision,
)
from shenhe.evaluation.matching import Match, chamfer, frechet, match
from shenhe.formats.desc import category, levels
from shenhe.formats.repairs import kind_in_text
from shenhe.geometry import Line, iou, kind_of
from shenhe.locations import Location
from shenhe.rows.fields import list_of
from shenhe.rows.keys import failures_file
from shenhe.rows.ledger import read_rows
from shenhe.rows.readers import read_failures
from shenhe.values import Annotation, CaptionObject

AREAS = ("bbox_2d", "quad")
MAX_LEVELS = 6


@dataclass(slots=True)
class Found:
    """How many of what is there were found. A share of nothing is None."""

    said: int = 0
    true: int = 0
    right: int = 0

    @property
    def precision(self) -> float | None:
        """The share of what was said that is there."""
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """The share of what is there that was said."""
        return self.right / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """Twice the right ones over all that was said or is there."""
        both = self.said + self.true
        return 2 * self.right / both if both else None

    def add(self, said: int, true: int, right: int) -> None:
        """Count the objects of a photo."""
        self.said += said
        self.true += true
        self.right += right

    def to_json(self) -> dict[str, Any]:
        """Give counts and shares."""
        return asdict(self) | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """One photo: what is there, what was said, and the joint F1 of it, 1 if rightly empty."""

    true: Annotation
    said: tuple[CaptionObject, ...]
    matches: list[Match]
    joint: float
    answered: bool


@dataclass(slots=True)
class CaptionScores:
    """All figures. Shares are 0 to 1, distances in the 0-1000 frame; None: nothing to measure."""

    photos: int = 0
    unanswered: int = 0
    """Photos of the truth that have no caption: all they hold counts as missed."""
    not_in_truth: int = 0
    """Captions of photos that the truth does not know: they count for nothing."""
    geometry: dict[str, Found] = field(default_factory=lambda: defaultdict(Found))
    average_precision: dict[str, dict[str, float | None]] = field(default_factory=dict)
    line_distances: dict[str, float | None] = field(default_factory=dict)
    exact: Found = field(default_factory=Found)
    """Of matched objects: descs right to the letter."""
    levels: list[Found] = field(default_factory=lambda: [Found() for _ in range(MAX_LEVELS)])
    """Of matched objects: descs right up to a level."""
    attributes: Found = field(default_factory=Found)
    """Of matched objects: single values of their descs, whatever their order."""
    joint: Found = field(default_factory=Found)
    """Objects found where they are and rightly described."""
    by_category: dict[str, Found] = field(default_factory=lambda: defaultdict(Found))
    """The joint score of each category of the truth; what is said and is not there counts too."""
    format_errors: dict[str, int] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON has it."""
        return {
            "photos": self.photos,
            "unanswered": self.unanswered,
            "not_in_truth": self.not_in_truth,
            "geometry": {
                kind: found.to_json() | self.average_precision.get(kind, {})
                for kind, found in sorted(self.geometry.items())
            },
            "lines": self.line_distances,
            "desc": {
                "exact": self.exact.precision,
                "levels": [level.precision for level in self.levels if level.said],
                "attributes": self.attributes.to_json(),
            },
            "joint": self.joint.to_json(),
            "joint_by_category": {
                name: found.to_json() for name, found in sorted(self.by_category.items())
            },
            "format_errors": self.format_errors,
            "repairs": self.repairs,
        }


def score_captions(
    said: Iterable[Annotation], true: Iterable[Annotation]
) -> tuple[CaptionScores, list[PhotoScore]]:
    """Score captions against truth, photo by photo; the worst photos come first in the list.

    Raises: IntakeError if the truth is empty, or no photo of it has a caption.
    """
    answers: dict[Location, tuple[CaptionObject, ...]] = {}
    for annotation in said:
        answers[annotation.image] = annotation.objects
    scores = CaptionScores()
    photos = [_score_photo(scores, annotation, answers) for annotation in true]
    scores.not_in_truth = len(answers.keys() - {photo.true.image for photo in photos})
    if not photos:
        raise IntakeError(f"{spelled('truth')}: holds no photo")
    if scores.unanswered == len(photos):
        raise IntakeError(
            f"{spelled('predictions')}: none of the {len(photos)} photos of the truth is in it, for"
            f" instance {photos[0].true.image}"
        )
    for kind in AREAS:
        scores.average_precision[kind] = _average_precision(photos, kind)
    scores.line_distances = _line_distances(photos)
    photos.sort(key=lambda photo: (photo.joint, str(photo.true.image)))
    return scores, photos


def count_problems(predictions: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Count what went wrong while captions were written: failures by code, repairs by kind.

    Raises: RunError if the file is no JSONL.
    """
    failures = Counter(failure.code for failure in read_failures(failures_file(predictions)))
    repairs = Counter(
        kind_in_text(str(repair))
        for row in read_rows(predictions)
        for repair in list_of(row, "repairs")
    )
    return dict(failures), dict(repairs)


def _score_photo(
    scores: CaptionScores, true: Annotation, answers: Mapping[Location, tuple[CaptionObject, ...]]
) -> PhotoScore:
    said = answers.get(true.image)
    scores.photos += 1
    scores.unanswered += said is None
    objects = said or ()
    matches = match(objects, true.objects)
    right = [pair for pair in matches if _same_desc(objects[pair.said], true.objects[pair.true])]
    for kind in {kind_of(thing.shape) for thing in (*objects, *true.objects)}:
        scores.geometry[kind].add(
            sum(kind_of(thing.shape) == kind for thing in objects),
            sum(kind_of(thing.shape) == kind for thing in true.objects),
            sum(kind_of(true.objects[pair.true].shape) == kind for pair in matches),
        )
    for pair in matches:
        _score_desc(scores, objects[pair.said].desc, true.objects[pair.true].desc)
    joint = Found(len(objects), len(true.objects), len(right))
    scores.joint.add(joint.said, joint.true, joint.right)
    _score_categories(scores, objects, true.objects, right)
    f1 = 1.0 if joint.f1 is None else joint.f1
    return PhotoScore(true, objects, matches, f1, said is not None)


def _score_desc(scores: CaptionScores, said: str, true: str) -> None:
    said_levels, true_levels = levels(said), levels(true)
    exact = said_levels == true_levels
    scores.exact.add(1, 1, exact)
    for depth in range(1, min(len(true_levels), MAX_LEVELS) + 1):
        scores.levels[depth - 1].add(1, 1, said_levels[:depth] == true_levels[:depth])
    values, truth = Counter(said_levels), Counter(true_levels)
    scores.attributes.add(values.total(), truth.total(), (values & truth).total())


def _score_categories(
    scores: CaptionScores,
    said: tuple[CaptionObject, ...],
    true: tuple[CaptionObject, ...],
    right: list[Match],
) -> None:
    for thing in said:
        scores.by_category[category(thing.desc)].said += 1
    for thing in true:
        scores.by_category[category(thing.desc)].true += 1
    for pair in right:
        scores.by_category[category(true[pair.true].desc)].right += 1


def _same_desc(said: CaptionObject, true: CaptionObject) -> bool:
    return levels(said.desc) == levels(true.desc)


def _average_precision(photos: list[PhotoScore], kind: str) -> dict[str, float | None]:
    """Mean average precision over categories, at 0.5 and over 0.5:0.95."""
    names = {category(thing.desc) for photo in photos for thing in photo.true.objects}
    categories = [[_overlaps(photo, kind, name) for photo in photos] for name in sorted(names)]
    return {
        "mAP@0.5": mean_average_precision(categories, THRESHOLDS[:1]),
        "mAP@0.5:0.95": mean_average_precision(categories, THRESHOLDS),
    }


def _overlaps(photo: PhotoScore, kind: str, name: str) -> PhotoOverlaps:
    said, true = (
        [t.shape for t in objects if kind_of(t.shape) == kind and category(t.desc) == name]
        for objects in (photo.said, photo.true.objects)
    )
    overlaps = np.zeros((len(said), len(true)))
    for at, shape in enumerate(said):
        overlaps[at] = [iou(shape, other) for other in true]
    return PhotoOverlaps(overlaps)


def _line_distances(photos: list[PhotoScore]) -> dict[str, float | None]:
    """Mean distances of the lines that were matched."""
    pairs = [
        (said, true)
        for photo in photos
        for i, j in photo.matches
        if isinstance(said := photo.said[i].shape, Line)
        and isinstance(true := photo.true.objects[j].shape, Line)
    ]
    if not pairs:
        return {"chamfer": None, "frechet": None}
    return {
        "chamfer": float(np.mean([chamfer(said, true) for said, true in pairs])),
        "frechet": float(np.mean([frechet(said, true) for said, true in pairs])),
    }
