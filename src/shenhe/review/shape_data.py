"""The objects of captions as the scripts of a page read them: shapes, descs and colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shenhe.config import Vocabulary
from shenhe.formats.desc import category
from shenhe.formats.text_formats import PolygonKey
from shenhe.overlays import colour_of
from shenhe.review.corrections import MAX_OBJECTS, Corrections
from shenhe.review.views import ReviewPhoto
from shenhe.rows.corrected_objects import CorrectedObject

ShapeData = Mapping[str, Sequence[Mapping[str, object]]]
"""Objects by the key of their photo: `key`, `kind`, `points` and `desc`. Units: points in the
0-1000 frame; a box has two of them."""


def lay_out_shapes(photos: Iterable[ReviewPhoto]) -> ShapeData:
    """Lay out the objects of the photos that have a caption, as people left them."""
    return {photo.key: _lay_out(photo.objects) for photo in photos if photo.objects is not None}


def lay_out_editor(
    photos: Sequence[ReviewPhoto], vocabulary: Vocabulary, polygons: PolygonKey
) -> dict[str, object]:
    """Lay out what correcting captions needs: what the model named, and what descs may be.

    `model` are the model's objects on photos that are corrected. `unknown` are the descs on the
    page that the vocabulary does not know, with what was probably meant.
    """
    corrected = [photo for photo in photos if photo.is_corrected]
    objects = (*(photo.objects for photo in photos), *(photo.model_objects for photo in corrected))
    descs = dict.fromkeys(item.desc for items in objects for item in items or ())
    return {
        "model": {photo.key: _lay_out(photo.model_objects or ()) for photo in corrected},
        "unknown": {desc: vocabulary.suggest(desc) for desc in descs if not vocabulary.knows(desc)},
        "choices": [choice.model_dump(mode="json") for choice in vocabulary.choices],
        "remark": vocabulary.remark_mark,
        "quads": polygons == "quad",
        "most": MAX_OBJECTS,
    }


def list_corrections(photos: Iterable[ReviewPhoto]) -> Corrections:
    """Give the corrected captions among the photos of a page."""
    return {photo.key: photo.objects or () for photo in photos if photo.is_corrected}


def colours_of(shapes: ShapeData, vocabulary: Vocabulary) -> dict[str, str]:
    """Give the colour of each category as style sheets write it."""
    descs = {str(item["desc"]) for objects in shapes.values() for item in objects}
    categories = {*map(category, descs), *(choice.category for choice in vocabulary.choices)}
    return {name: "#{:02x}{:02x}{:02x}".format(*colour_of(name)) for name in sorted(categories)}


def _lay_out(objects: Iterable[CorrectedObject]) -> Sequence[Mapping[str, object]]:
    return [
        {"key": item.key, "kind": item.kind, "points": item.points, "desc": item.desc}
        for item in objects
    ]
