"""The rows that such models are trained from: one photo a line, in pixels of the original."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from shenhe.exports.labels import Labels
from shenhe.exports.pixels import in_pixels
from shenhe.formats import summary
from shenhe.geometry import Line, kind_of, to_numbers
from shenhe.records import Annotation


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the file, with paths relative to its folder; descs stay whole whatever the labels."""
    with output.open("w", encoding="utf-8") as file:
        for annotation in annotations:
            objects = []
            for thing in annotation.objects:
                shape = in_pixels(annotation, thing)
                fields: dict[str, object] = {
                    kind_of(shape): [round(number) for number in to_numbers(shape)]
                }
                if isinstance(shape, Line):
                    fields["line_points"] = len(shape.points)
                objects.append(fields | {"desc": thing.desc})
            row = {
                "images": [os.path.relpath(annotation.image.absolute(), output.parent.absolute())],
                "objects": objects,
                "width": annotation.size_wh.width,
                "height": annotation.size_wh.height,
                "summary": annotation.summary
                or summary.render(thing.desc for thing in annotation.objects),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
