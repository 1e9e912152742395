"""The objects of captions as the scripts of a page read them: shapes, descs and colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shenhe.config import Vocabulary
from shenhe.formats.desc import category
from shenhe.overlays import colour_of
from shenhe.review.corrections import MAX_OBJECTS, Corrections, list_model_objects
from shenhe.review.index import GroupRows
from shenhe.review.views import ReviewPhoto

ShapeData = Mapping[str, Sequence[Mapping[str, object]]]
"""Objects by the key of their photo: `key`, `kind`, `points` and `desc`. Units: points in the
0-1000 frame; a box has two of them."""


def lay_out_shapes(photos: Iterable[ReviewPhoto]) -> ShapeData:
    """Lay out the objects of the photos that have a caption, as people left them."""
    return _lay_out({photo.key: photo.objects for photo in photos if photo.objects is not None})


def lay_out_editor(
    group: GroupRows, photos: Iterable[ReviewPhoto], vocabulary: Vocabulary, polygons: str
) -> dict[str, object]:
    """Lay out what correcting captions needs: the model's objects, and what descs may be.

    `unknown` are the descs on the page that the vocabulary does not know, with what was probably
    meant.
    """
    named = list_model_objects(group)
    objects = [*named.values(), *(photo.objects or () for photo in photos)]
    descs = dict.fromkeys(item.desc for items in objects for item in items)
    return {
        "model": _lay_out(named),
        "unknown": {desc: vocabulary.suggest(desc) for desc in descs if not vocabulary.knows(desc)},
        "choices": [choice.model_dump(mode="json") for choice in vocabulary.choices],
        "remark": vocabulary.remark_mark,
        "quads": polygons == "quad",
        "most": MAX_OBJECTS,
    }


def colours_of(shapes: ShapeData, vocabulary: Vocabulary) -> dict[str, str]:
    """Give the colour of each category as style sheets write it."""
    descs = (str(item["desc"]) for objects in shapes.values() for item in objects)
    categories = {*map(category, descs), *(choice.category for choice in vocabulary.choices)}
    return {name: "#{:02x}{:02x}{:02x}".format(*colour_of(name)) for name in sorted(categories)}


def _lay_out(corrections: Corrections) -> ShapeData:
    return {
        photo: [item.model_dump(mode="json", exclude={"kept"}) for item in objects]
        for photo, objects in corrections.items()
    }
