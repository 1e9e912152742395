"""The figures as tables, on a terminal or a page, and the worst photos drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from shenhe import photos
from shenhe.errors import PhotoError
from shenhe.evaluation.captions import CaptionScores, Found, PhotoScore
from shenhe.files import whole_file
from shenhe.overlays import draw_caption
from shenhe.values import CaptionObject

OVERLAY_SIDE = 720


class Table(NamedTuple):
    """One table of figures, as text."""

    title: str
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class PhotoView:
    """A photo of the page: truth and caption drawn, as data URLs, or why they could not be."""

    name: str
    joint: float
    answered: bool
    true: str = ""
    said: str = ""
    problem: str = ""


def tables(scores: CaptionScores) -> list[Table]:
    """Lay the figures out."""
    kinds = sorted(scores.geometry)
    found = ["said", "true", "right", "precision", "recall", "F1"]
    words = [
        ["desc exactly right", _share(scores.exact.precision)],
        *(
            [f"right up to level {depth}", _share(level.precision)]
            for depth, level in enumerate(scores.levels, 1)
            if level.said
        ),
        ["attributes, F1", _share(scores.attributes.f1)],
        ["lines: mean Chamfer distance", _distance(scores.line_distances.get("chamfer"))],
        ["lines: mean Frechet distance", _distance(scores.line_distances.get("frechet"))],
    ]
    geometry = [
        [
            kind,
            *_cells(scores.geometry[kind]),
            *(
                _share(scores.average_precision.get(kind, {}).get(name))
                for name in ("mAP@0.5", "mAP@0.5:0.95")
            ),
        ]
        for kind in kinds
    ]
    joint = [["all", *_cells(scores.joint)]]
    joint += [[name, *_cells(part)] for name, part in sorted(scores.by_category.items())]
    result = [
        Table("Geometry", ["kind", *found, "mAP@0.5", "mAP@0.5:0.95"], geometry),
        Table("Of matched objects", ["what", "value"], words),
        Table("Found where it is and rightly described", ["category", *found], joint),
    ]
    for title, counts in (("Format errors", scores.format_errors), ("Repairs", scores.repairs)):
        if counts:
            rows = [[code, str(count)] for code, count in sorted(counts.items())]
            result.append(Table(title, ["code", "captions"], rows))
    return result


def write_page(
    path: Path,
    scores: CaptionScores,
    worst: Sequence[PhotoScore],
    *,
    predictions: Path,
    truth: Path,
) -> None:
    """Write one self-contained HTML page; whatever a model or a file name says is escaped.

    Raises: RunError if it cannot be written.
    """
    page = (
        environment()
        .get_template("captions.html")
        .render(
            scores=scores,
            predictions=predictions.name,
            truth=truth.name,
            tables=tables(scores),
            photos=[_view(photo) for photo in worst],
        )
    )
    with whole_file(path) as fresh:
        fresh.write_text(page, encoding="utf-8")


@cache
def environment() -> Environment:
    """Give the templates of this package; whatever they are given is escaped."""
    return Environment(
        loader=PackageLoader("shenhe.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )


def _view(photo: PhotoScore) -> PhotoView:
    name = photo.true.image.name
    try:
        image = photos.open_upright(photo.true.image)
    except PhotoError as error:
        return PhotoView(name, photo.joint, photo.answered, problem=str(error))
    true, said = (_drawn(image, objects) for objects in (photo.true.objects, photo.said))
    return PhotoView(name, photo.joint, photo.answered, true, said)


def _drawn(image: Image.Image, objects: Sequence[CaptionObject]) -> str:
    sheet = draw_caption(image, objects)
    sheet.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cells(found: Found) -> list[str]:
    counts = [str(found.said), str(found.true), str(found.right)]
    return [*counts, _share(found.precision), _share(found.recall), _share(found.f1)]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _distance(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
