"""Scores of captions against truth: of shapes, of descs, and of both at once."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shenhe.errors import IntakeError, spelled
from shenhe.evaluation.average_precision import (
    THRESHOLDS,
    PhotoOverlaps,
    mean_average_precision,
)
from shenhe.evaluation.matching import Match, chamfer, frechet, match
from shenhe.evaluation.object_counts import ObjectCounts
from shenhe.evaluation.repeated_photos import RepeatedPhotos
from shenhe.formats.desc import category, levels
from shenhe.formats.repairs import kind_in_text
from shenhe.geometry import Line, iou, shape_key
from shenhe.locations import Location
from shenhe.rows.fields import list_of
from shenhe.rows.keys import failures_file
from shenhe.rows.ledger import Json
from shenhe.rows.readers import read_failures
from shenhe.shards import list_shards
from shenhe.values import Annotation, CaptionObject

AREAS = ("bbox_2d", "quad", "poly")
MAX_LEVELS = 6


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """One photo: its truth, its caption, and the joint F1 of them, 1 if both are empty."""

    truth: Annotation
    predicted: tuple[CaptionObject, ...]
    matches: list[Match]
    joint: float
    answered: bool

    def kinds(self) -> list[str]:
        """Give the geometry that each predicted object counts as.

        A quad that matches a polygon of another number of corners counts as what it matches.
        """
        kinds = [shape_key(item.shape) for item in self.predicted]
        for pair in self.matches:
            kinds[pair.predicted] = shape_key(self.truth.objects[pair.actual].shape)
        return kinds


@dataclass(slots=True)
class CaptionScores:
    """All figures. Ratios are 0 to 1, distances in the 0-1000 frame; None: nothing to measure.

    Example:
        scores, photos = score_captions(predictions, truth)
        scores.average_precision["bbox_2d"]

    """

    photos: int = 0
    unanswered: int = 0
    """Photos of the truth without a caption: all their objects count as missed."""
    not_in_truth: int = 0
    """Captions of photos that are not in the truth: they are not counted."""
    repeated: RepeatedPhotos = field(default_factory=RepeatedPhotos)
    """Photos that stand more than once in the captions or in the truth."""
    geometry: dict[str, ObjectCounts] = field(default_factory=lambda: defaultdict(ObjectCounts))
    average_precision: dict[str, dict[str, float | None]] = field(default_factory=dict)
    line_distances: dict[str, float | None] = field(default_factory=dict)
    exact: ObjectCounts = field(default_factory=ObjectCounts)
    """Of matched objects: descs that are wholly correct."""
    levels: list[ObjectCounts] = field(
        default_factory=lambda: [ObjectCounts() for _ in range(MAX_LEVELS)]
    )
    """Of matched objects: descs that are correct up to a level."""
    attributes: ObjectCounts = field(default_factory=ObjectCounts)
    """Of matched objects: single values of their descs, in any order."""
    joint: ObjectCounts = field(default_factory=ObjectCounts)
    """Objects with a correct shape and a correct desc."""
    by_category: dict[str, ObjectCounts] = field(default_factory=lambda: defaultdict(ObjectCounts))
    """The joint score of each category; false positives count too."""
    format_errors: dict[str, int] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Give all figures as JSON."""
        return {
            "photos": self.photos,
            "unanswered": self.unanswered,
            "not_in_truth": self.not_in_truth,
            "repeated": self.repeated.alike,
            "contradicted": len(self.repeated.faults),
            "geometry": {
                kind: counts.to_json() | self.average_precision.get(kind, {})
                for kind, counts in sorted(self.geometry.items())
            },
            "lines": self.line_distances,
            "desc": {
                "exact": self.exact.precision,
                "levels": [level.precision for level in self.levels if level.predicted],
                "attributes": self.attributes.to_json(),
            },
            "joint": self.joint.to_json(),
            "joint_by_category": {
                name: counts.to_json() for name, counts in sorted(self.by_category.items())
            },
            "format_errors": self.format_errors,
            "repairs": self.repairs,
        }


def score_captions(
    predictions: Iterable[Annotation], truth: Iterable[Annotation]
) -> tuple[CaptionScores, list[PhotoScore]]:
    """Score captions against truth, photo by photo; the worst photos come first in the list.

    A photo that stands twice counts once; with unlike objects, its caption counts as none, and its
    truth leaves it out.
    Raises: IntakeError if the truth is empty, or no photo of it has a caption.

        scores, photos = score_captions(read_annotations(predictions), read_annotations(truth))
    """
    scores = CaptionScores()
    once = scores.repeated.once
    answers: dict[Location, tuple[CaptionObject, ...]] = {
        annotation.image: annotation.objects for annotation in once(predictions, "predictions")
    }
    photos = [_score_photo(scores, annotation, answers) for annotation in once(truth, "truth")]
    scores.not_in_truth = len(answers.keys() - {photo.truth.image for photo in photos})
    if scores.unanswered == len(photos) and scores.repeated.faults:
        raise IntakeError(scores.repeated.faults[0])
    if not photos:
        raise IntakeError(f"{spelled('truth')}: holds no photo")
    if scores.unanswered == len(photos):
        raise IntakeError(
            f"{spelled('predictions')}: none of the {len(photos)} photos of the truth is in it, for"
            f" instance {photos[0].truth.image}"
        )
    for kind in AREAS:
        scores.average_precision[kind] = _average_precision(photos, kind)
    scores.line_distances = _line_distances(photos)
    photos.sort(key=lambda photo: (photo.joint, str(photo.truth.image)))
    return scores, photos


def count_problems(predictions: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Count what went wrong while captions were written: failures by code, repairs by kind.

    Rows that cannot be read are passed over: whoever reads captions from them names them.

    Example:
        failures, repairs = count_problems(Path("captions.jsonl"))

    """
    failures = Counter(failure.code for failure in read_failures(failures_file(predictions)))
    repairs = Counter(
        kind_in_text(str(repair))
        for row in _readable_rows(predictions)
        for repair in list_of(row, "repairs")
    )
    return dict(failures), dict(repairs)


def _readable_rows(path: Path) -> Iterator[Json]:
    for shard in list_shards(path):
        for line in shard.read_bytes().split(b"\n") if shard.is_file() else ():
            with suppress(ValueError, RecursionError):
                row = json.loads(line)
                if isinstance(row, dict):
                    yield row


def _score_photo(
    scores: CaptionScores, truth: Annotation, answers: Mapping[Location, tuple[CaptionObject, ...]]
) -> PhotoScore:
    answer = answers.get(truth.image)
    scores.photos += 1
    scores.unanswered += answer is None
    predicted, actual = answer or (), truth.objects
    matches = match(predicted, actual)
    correct = [
        pair for pair in matches if _same_desc(predicted[pair.predicted], actual[pair.actual])
    ]
    for pair in matches:
        _score_desc(scores, predicted[pair.predicted].desc, actual[pair.actual].desc)
    joint = ObjectCounts(len(predicted), len(actual), len(correct))
    scores.joint.add(joint.predicted, joint.actual, joint.correct)
    _score_categories(scores, predicted, actual, correct)
    f1 = 1.0 if joint.f1 is None else joint.f1
    photo = PhotoScore(truth, predicted, matches, f1, answer is not None)
    _score_geometry(scores, photo)
    return photo


def _score_geometry(scores: CaptionScores, photo: PhotoScore) -> None:
    predicted = photo.kinds()
    actual = [shape_key(item.shape) for item in photo.truth.objects]
    matched = [actual[pair.actual] for pair in photo.matches]
    for kind in {*predicted, *actual}:
        scores.geometry[kind].add(predicted.count(kind), actual.count(kind), matched.count(kind))


def _score_desc(scores: CaptionScores, predicted: str, actual: str) -> None:
    predicted_levels, actual_levels = levels(predicted), levels(actual)
    exact = predicted_levels == actual_levels
    scores.exact.add(1, 1, exact)
    for depth in range(1, min(len(actual_levels), MAX_LEVELS) + 1):
        correct = predicted_levels[:depth] == actual_levels[:depth]
        scores.levels[depth - 1].add(1, 1, correct)
    predicted_values, actual_values = Counter(predicted_levels), Counter(actual_levels)
    correct_values = predicted_values & actual_values
    scores.attributes.add(predicted_values.total(), actual_values.total(), correct_values.total())


def _score_categories(
    scores: CaptionScores,
    predicted: tuple[CaptionObject, ...],
    actual: tuple[CaptionObject, ...],
    correct: list[Match],
) -> None:
    for item in predicted:
        scores.by_category[category(item.desc)].predicted += 1
    for item in actual:
        scores.by_category[category(item.desc)].actual += 1
    for pair in correct:
        scores.by_category[category(actual[pair.actual].desc)].correct += 1


def _same_desc(predicted: CaptionObject, actual: CaptionObject) -> bool:
    return levels(predicted.desc) == levels(actual.desc)


def _average_precision(photos: list[PhotoScore], kind: str) -> dict[str, float | None]:
    """Give the mean average precision over categories, at 0.5 and over 0.5:0.95."""
    names = {category(item.desc) for photo in photos for item in photo.truth.objects}
    categories = [[_overlaps(photo, kind, name) for photo in photos] for name in sorted(names)]
    return {
        "mAP@0.5": mean_average_precision(categories, THRESHOLDS[:1]),
        "mAP@0.5:0.95": mean_average_precision(categories, THRESHOLDS),
    }


def _overlaps(photo: PhotoScore, kind: str, name: str) -> PhotoOverlaps:
    truth = photo.truth.objects
    predicted, actual = (
        [
            item.shape
            for item, item_kind in zip(objects, kinds, strict=True)
            if item_kind == kind and category(item.desc) == name
        ]
        for objects, kinds in (
            (photo.predicted, photo.kinds()),
            (truth, [shape_key(item.shape) for item in truth]),
        )
    )
    overlaps = np.zeros((len(predicted), len(actual)))
    for row, shape in enumerate(predicted):
        overlaps[row] = [iou(shape, target) for target in actual]
    return PhotoOverlaps(overlaps)


def _line_distances(photos: list[PhotoScore]) -> dict[str, float | None]:
    """Give the mean distances of matched lines."""
    pairs = [
        (predicted, actual)
        for photo in photos
        for i, j in photo.matches
        if isinstance(predicted := photo.predicted[i].shape, Line)
        and isinstance(actual := photo.truth.objects[j].shape, Line)
    ]
    if not pairs:
        return {"chamfer": None, "frechet": None}
    return {
        "chamfer": float(np.mean([chamfer(*pair) for pair in pairs])),
        "frechet": float(np.mean([frechet(*pair) for pair in pairs])),
    }
