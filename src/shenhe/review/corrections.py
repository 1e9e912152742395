"""Corrected captions: what a form sends of them, and what a page shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from shenhe.config import Vocabulary
from shenhe.errors import FormatError
from shenhe.formats.caption import from_grouped
from shenhe.formats.text_formats import PolygonKey
from shenhe.json_keys import refuse_repeated_keys
from shenhe.review.index import GroupRows
from shenhe.rows.corrected_objects import (
    ADDED,
    CorrectedObject,
    correct_descs,
    read_corrected,
)
from shenhe.rows.decision_rows import Opinion
from shenhe.values import photo_key

Corrections = Mapping[str, tuple[CorrectedObject, ...]]
"""All objects of the photos whose caption was corrected, by the key of the photo."""
MAX_TEXT: Final = 400_000
"""Maximum length of the corrections of a group. Units: characters."""
MAX_OBJECTS: Final = 300
"""Maximum number of objects on a photo."""
QUAD_CORNERS: Final = 4


class CorrectionError(Exception):
    """A form holds corrections that are none: nothing of the form is stored.

    `photo` and `thing` are the keys of the photo and of the object, empty where there is none.
    """

    def __init__(self, code: str, photo: str = "", thing: str = "") -> None:
        """Name the first thing that is wrong."""
        super().__init__(code)
        self.code, self.photo, self.thing = code, photo, thing


class UnknownDesc(NamedTuple):
    """A desc of a correction that the vocabulary does not know and nobody has confirmed.

    `meant` is the known desc that is like it; empty where none is.
    """

    photo: str
    key: str
    desc: str
    meant: str


def list_model_objects(group: GroupRows) -> dict[str, tuple[CorrectedObject, ...]]:
    """Give the objects that the model named, by the key of each photo that has a caption."""
    named = {}
    for index, image in enumerate(group.images):
        if image in group.captions:
            (objects,) = from_grouped(group.captions[image].caption).photos
            named[photo_key(index)] = tuple(
                CorrectedObject.of(f"object_{number}", item)
                for number, item in enumerate(objects, 1)
            )
    return named


class HoldsCorrections(Protocol):
    """An opinion, or the form of one."""

    @property
    def shapes(self) -> Corrections:
        """Objects of the photos whose caption was corrected."""

    @property
    def descs(self) -> Mapping[str, Mapping[str, str | None]]:
        """What earlier versions stored instead."""


def corrections_of(
    opinion: HoldsCorrections, named: Corrections
) -> dict[str, tuple[CorrectedObject, ...]]:
    """Give the corrected captions of an opinion, also of earlier versions that stored descs.

    `named` are the objects that the model named.
    """
    earlier = {
        photo: correct_descs(named[photo], descs)
        for photo, descs in opinion.descs.items()
        if photo in named
    }
    return earlier | dict(opinion.shapes)


def count_corrected(opinion: HoldsCorrections, named: Corrections) -> int | None:
    """Count the objects that were added, taken away or changed, of all photos.

    None where nobody can tell, as the caption that was corrected is not there any more.
    """
    count = sum(len(descs) for descs in opinion.descs.values())
    for photo, objects in opinion.shapes.items():
        if photo not in named and not all(item.key.startswith(ADDED) for item in objects):
            return None
        before, after = (
            {item.key: item for item in _bare(each)} for each in (named.get(photo, ()), objects)
        )
        count += sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
    return count


def write_corrections(corrections: Corrections) -> str:
    """Write corrections as the form has them; empty for none."""
    if not corrections:
        return ""
    content = {
        photo: [item.model_dump(mode="json") for item in objects]
        for photo, objects in corrections.items()
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def read_corrections(
    text: str, group: GroupRows, polygons: PolygonKey = "both"
) -> dict[str, tuple[CorrectedObject, ...]]:
    """Read the corrections that a form sends; photos that are as the model has them are left out.

    Raises: CorrectionError.
    """
    named = list_model_objects(group)
    keys = [photo_key(index) for index in range(len(group.images))]
    corrections = {}
    for photo, objects in _read_members(text).items():
        if photo not in keys:
            raise CorrectionError("photo", photo[:40])
        corrected = _read_objects(photo, objects, polygons)
        if _bare(corrected) != _bare(named.get(photo, ())):
            corrections[photo] = corrected
    return {photo: corrections[photo] for photo in keys if photo in corrections}


def _bare(objects: Sequence[CorrectedObject]) -> list[CorrectedObject]:
    """Give objects without who confirmed them: that alone corrects nothing."""
    return [item.model_copy(update={"kept": False}) for item in objects]


def _read_members(text: str) -> Mapping[str, object]:
    if not text.strip():
        return {}
    if len(text) > MAX_TEXT:
        raise CorrectionError("size")
    try:
        content = json.loads(text, object_pairs_hook=refuse_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise CorrectionError("structure") from error
    if not isinstance(content, dict):
        raise CorrectionError("structure")
    return content


def _read_objects(photo: str, content: object, polygons: PolygonKey) -> tuple[CorrectedObject, ...]:
    if not isinstance(content, list):
        raise CorrectionError("structure", photo)
    if len(content) > MAX_OBJECTS:
        raise CorrectionError("count", photo)
    objects: dict[str, CorrectedObject] = {}
    for number, fields in enumerate(content, 1):
        try:
            item = read_corrected(fields)
        except FormatError as error:
            raise CorrectionError(error.code, photo, str(number)) from error
        if item.key in objects:
            raise CorrectionError("structure", photo, str(number))
        if polygons == "quad" and item.kind == "poly" and len(item.points) != QUAD_CORNERS:
            raise CorrectionError("quad_only", photo, str(number))
        objects[item.key] = item
    return tuple(objects.values())


def list_unknown(corrections: Corrections, vocabulary: Vocabulary) -> list[UnknownDesc]:
    """List the descs that need a correction, or somebody who says that they are right."""
    return [
        UnknownDesc(photo, item.key, item.desc, vocabulary.suggest(item.desc))
        for photo, objects in corrections.items()
        for item in objects
        if not item.kept and not vocabulary.knows(item.desc)
    ]


def unknown_digest(unknown: Sequence[UnknownDesc]) -> str:
    """Identify descs in an address: a confirmation holds for these alone, on these photos."""
    parts = sorted(f"{item.photo}\x1f{item.desc}" for item in unknown)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:12]


def keep_unknown(opinion: Opinion, unknown: Sequence[UnknownDesc]) -> Opinion:
    """Mark descs as confirmed by the person whose opinion it is."""
    kept = {(item.photo, item.key) for item in unknown}
    shapes = {
        photo: tuple(
            item.model_copy(update={"kept": item.kept or (photo, item.key) in kept})
            for item in objects
        )
        for photo, objects in opinion.shapes.items()
    }
    return opinion.model_copy(update={"shapes": shapes})
