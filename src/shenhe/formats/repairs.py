"""Repairs: what a parser did to read a text that does not keep its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RepairKind = Literal[
    # around the caption
    "thinking",
    "code_fence",
    "leading_text",
    "trailing_text",
    "header",
    "joined",
    "truncated",
    # JSON
    "single_quotes",
    "control_characters",
    "full_width_punctuation",
    "punctuation",
    "unbalanced",
    "stray_text",
    # photos and objects
    "box_tokens",
    "boxes_joined",
    "name_carried_on",
    "single_object",
    "list_of_objects",
    "list_of_photos",
    "photo_key_missing",
    "photo_key_repeated",
    "object_key_missing",
    "key_sequence",
    "wrapper",
    "unknown_keys",
    "dropped",
    "loop",
    # the fields of an object
    "label_as_desc",
    "polygon_as_poly",
    "points_as_poly",
    "poly_as_quad",
    "quad_as_poly",
    "points_flattened",
    "rounded",
    "repeated_corner",
    "quad_order",
    "poly_order",
    "line_points",
    "poly_points",
]


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair; its text, as rows hold it, is `kind` or `kind: detail`.

    >>> str(Repair("trailing_text", "12 characters"))
    'trailing_text: 12 characters'
    """

    kind: RepairKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class RepairLog:
    """Collects repairs by kind, in the order in which the kinds first occur.

    >>> log = RepairLog()
    >>> log.add("rounded", "图片_1/object_1")
    >>> log.add("code_fence")
    >>> log.add("rounded", "图片_1/object_2")
    >>> [str(repair) for repair in log.repairs()]
    ['rounded: 图片_1/object_1; 图片_1/object_2', 'code_fence']
    """

    def __init__(self) -> None:
        self._details: dict[RepairKind, list[str]] = {}

    def add(self, kind: RepairKind, detail: str = "") -> None:
        """Record a repair; a repeated kind without a detail is recorded once."""
        details = self._details.setdefault(kind, [])
        if detail:
            details.append(detail)

    def has_any(self, *kinds: RepairKind) -> bool:
        """Whether a repair of one of the kinds was recorded."""
        return any(kind in self._details for kind in kinds)

    def repairs(self) -> list[Repair]:
        """Return one repair for each kind, its details joined by semicolons."""
        return [Repair(kind, "; ".join(details)) for kind, details in self._details.items()]


def kind_in_text(text: str) -> str:
    """Return the kind in the text of a repair, as read from a row; unknown kinds are kept.

    >>> kind_in_text("trailing_text: 12 characters")
    'trailing_text'
    """
    return text.partition(":")[0]
