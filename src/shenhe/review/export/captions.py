"""Corrected captions as rows to train from, and a list of the descs that no vocabulary knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shenhe import photos
from shenhe.errors import FormatError, PhotoError
from shenhe.exports import training
from shenhe.exports.messages import caption_text
from shenhe.geometry import Size
from shenhe.locations import locate
from shenhe.review.corrections import (
    Corrections,
    corrections_of,
    list_model_objects,
    list_unknown,
)
from shenhe.review.export.contents import DecidedGroups, ExportFile, Prompting
from shenhe.review.export.sheets import make_csv
from shenhe.review.export.training import UntrainableError, images_by_key
from shenhe.review.index import GroupRows
from shenhe.rows.corrected_objects import ADDED, CorrectedObject
from shenhe.rows.decision_rows import Decision
from shenhe.rows.sheets import safe_cell
from shenhe.values import Annotation, CaptionObject

UNKNOWN_DESCS = "unknown_descs.csv"
_UNCONFIRMED = f"a desc is not in the vocabulary, and nobody has confirmed it: see {UNKNOWN_DESCS}"
_COLUMNS = (*("group_id", "mission", "photo", "object", "desc", "meant", "kept", "reviewer", "at"),)


def caption_rows(
    groups: DecidedGroups, prompting: Prompting, left_out: Counter[str]
) -> Iterator[str]:
    """Yield the corrected captions, as rows with coordinates in pixels.

    A desc that the vocabulary does not know is learnt only where a person has confirmed it.
    """
    for decision, group, corrections in _list_corrected(groups, left_out):
        lines = decision.opinion.lines if decision.opinion else {}
        for photo, objects in corrections.items():
            try:
                yield _caption_row(group, photo, objects, lines.get(photo, ""), prompting)
            except UntrainableError as error:
                left_out[str(error)] += 1
            except FormatError as error:
                left_out[f"the caption breaks its format ({error.code})"] += 1
            except PhotoError as error:
                left_out[f"the photo cannot be opened ({error.code})"] += 1


def write_unknown_descs(groups: DecidedGroups, prompting: Prompting) -> ExportFile:
    """Write a line for each desc of a corrected caption that the vocabulary does not know."""
    vocabulary, rows = prompting.words_of_descs, []
    for decision, _, corrections in _list_corrected(groups, Counter()):
        for photo, objects in corrections.items():
            for item in objects:
                if not vocabulary.knows(item.desc):
                    named = (decision.group_id, decision.mission, photo, item.key, item.desc)
                    meant = vocabulary.suggest(item.desc)
                    kept = "yes" if item.kept else "no"
                    row = (*named, meant, kept, decision.reviewer, decision.at)
                    rows.append(list(map(safe_cell, row)))
    return make_csv(_COLUMNS, rows)


def _list_corrected(
    groups: DecidedGroups, left_out: Counter[str]
) -> Iterator[tuple[Decision, GroupRows, Corrections]]:
    """Yield the decisions that correct captions, with their groups and the corrections."""
    for decision, group in groups:
        opinion = decision.opinion
        if opinion is None or not opinion.corrected_captions:
            continue
        if group is None or not group.images:
            left_out["the group's photos are not there any more"] += 1
            continue
        corrections = corrections_of(opinion, list_model_objects(group))
        if gone := len(opinion.corrected_captions) - len(corrections):
            left_out["the caption is not there any more"] += gone
        yield decision, group, corrections


def _caption_row(
    group: GroupRows,
    photo: str,
    objects: Sequence[CorrectedObject],
    line: str,
    prompting: Prompting,
) -> str:
    """Give the row of a photo.

    Raises: UntrainableError; FormatError for a caption that the run's format cannot hold;
    PhotoError.
    """
    image = images_by_key(group).get(photo)
    if image is None:
        raise UntrainableError("the group's photos are not there any more")
    if list_unknown({photo: tuple(objects)}, prompting.words_of_descs):
        raise UntrainableError(_UNCONFIRMED)
    caption = group.captions.get(image)
    location = locate(image)
    size = Size(*caption.sizes_wh[0]) if caption else photos.read_stored_size(location).upright
    annotation = Annotation(location, size, _in_reading_order(objects), line)
    caption_text(annotation, prompting.formats.caption)
    return training.row(annotation, image)


def _in_reading_order(objects: Sequence[CorrectedObject]) -> tuple[CaptionObject, ...]:
    """Put added objects where they stand on the photo: from top to bottom, from left to right.

    The model's objects keep the order that it gave them.
    """
    ordered = [item for item in objects if not item.key.startswith(ADDED)]
    for item in sorted((item for item in objects if item.key.startswith(ADDED)), key=_corner):
        further = (at for at, other in enumerate(ordered) if _corner(other) > _corner(item))
        ordered.insert(next(further, len(ordered)), item)
    return tuple(item.item for item in ordered)


def _corner(item: CorrectedObject) -> tuple[int, int]:
    """Give the top and the left of an object."""
    xs, ys = zip(*item.points, strict=True)
    return min(ys), min(xs)
