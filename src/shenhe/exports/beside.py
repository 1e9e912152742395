"""One JSON file beside each photo, as LabelMe and its descendants have it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from shenhe.exports.pixels import place_photo
from shenhe.values import Annotation, CaptionObject

Drawn = Callable[[Annotation, CaptionObject], dict[str, Any]]
"""From a thing to the tool's own words for a shape."""


def write_beside(
    annotations: Iterable[Annotation],
    output: Path,
    losses: Counter[str],
    head: Mapping[str, Any],
    drawn: Drawn,
) -> None:
    """Write a folder of photos and files; `head` is what a tool's files begin with."""
    output.mkdir()
    for annotation in annotations:
        photo = place_photo(annotation.image, output, losses)
        content = {
            **head,
            "shapes": [drawn(annotation, thing) for thing in annotation.objects],
            "imagePath": photo.name,
            "imageData": None,
            "imageHeight": annotation.size_wh.height,
            "imageWidth": annotation.size_wh.width,
        }
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        photo.with_suffix(".json").write_text(text, encoding="utf-8")
