"""Counts of objects, and the ratios of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ObjectCounts:
    """Counts of predicted, actual and correct objects. A ratio to no objects is None."""

    predicted: int = 0
    actual: int = 0
    correct: int = 0

    @property
    def precision(self) -> float | None:
        """The share of predicted objects that are correct."""
        return self.correct / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The share of actual objects that were predicted."""
        return self.correct / self.actual if self.actual else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        total = self.predicted + self.actual
        return 2 * self.correct / total if total else None

    def add(self, predicted: int, actual: int, correct: int) -> None:
        """Count the objects of a photo."""
        self.predicted += predicted
        self.actual += actual
        self.correct += correct

    def to_json(self) -> dict[str, object]:
        """Give counts and ratios."""
        return {
            "said": self.predicted,
            "true": self.actual,
            "right": self.correct,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }
