"""Annotations of photos, in one coordinate frame: from rows, or from labels of other tools.

A row of JSONL with the key `caption` was written by `shenhe caption`, one with `messages` is a
conversation whose last answer is a caption; `training_rows` reads any other. Files and folders of
labelling tools are read by `imports`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from shenhe import photos
from shenhe.errors import FormatError, IntakeError, PhotoError, ShenheError
from shenhe.formats import caption
from shenhe.formats.caption import from_grouped
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import Size
from shenhe.imports import TOOLS, Reading, Strict, read_labels, recognise
from shenhe.intake.training_rows import RowPhotos, is_training_row, read_training_row
from shenhe.json_keys import refuse_repeated_keys
from shenhe.locations import absolute
from shenhe.row_types import CaptionRow, describe_invalid
from shenhe.shards import list_shards
from shenhe.values import Annotation, Caption

AUTO = "auto"
BOM = "\ufeff"


def read_annotations(
    path: Path,
    reading: Reading | None = None,
    *,
    tool: str = AUTO,
    photos_folder: Path | None = None,
    form: CaptionFormat = PLAIN.caption,
) -> Iterator[Annotation]:
    """Yield the annotation of each photo in a file of rows, in its shards, or in a tool's labels.

    A row or photo that cannot be read is noted in `reading`, and the others go on. `tool` says
    whose labels they are, see `imports.TOOLS`; rows for JSONL; auto recognises it. Photos that are
    not where they are said to be are looked for by their names below `photos_folder`. A
    conversation may end in a caption of the format `form`, or in plain grouped JSON.

        truth = {annotation.image: annotation for annotation in read_annotations(path)}

    Raises: IntakeError for a file of which nothing can be read; without `reading` for a bad row.
    """
    reading = Strict() if reading is None else reading
    earlier, is_any = len(reading.faults), False
    for annotation in _read(path, reading, tool, photos_folder, form):
        is_any = True
        yield annotation
    if not is_any and (faults := reading.faults[earlier:]):
        further = f" (and {len(faults) - 1} more like it)" if len(faults) > 1 else ""
        raise IntakeError(f"{faults[0]}{further}")


def _read(
    path: Path, reading: Reading, tool: str, folder: Path | None, form: CaptionFormat
) -> Iterator[Annotation]:
    name = recognise(path) if tool == AUTO else tool
    if name in TOOLS:
        yield from read_labels(path, name, reading, folder)
        return
    for shard in list_shards(path) or [path]:
        yield from _read_file(shard, reading, RowPhotos(shard, folder), form)


def _read_file(
    path: Path, reading: Reading, found: RowPhotos, form: CaptionFormat
) -> Iterator[Annotation]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield from _read_line(f"{path}: line {number}", line, reading, found, form)
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error


def _read_line(
    where: str, line: bytes, reading: Reading, found: RowPhotos, form: CaptionFormat
) -> tuple[Annotation, ...]:
    try:
        text = line.decode("utf-8").removeprefix(BOM)
        row = json.loads(text, object_pairs_hook=refuse_repeated_keys)
        if not isinstance(row, dict):
            raise TypeError("not a JSON object")
        if "caption" in row:
            return tuple(_from_caption(CaptionRow.model_validate(row)))
        if "messages" in row and not is_training_row(row):
            return tuple(_from_conversation(row, found, form))
        return (read_training_row(row, found, reading.lost),)
    except RecursionError:
        reading.note(where, "nested too deeply")
    except UnicodeDecodeError as error:
        reading.note(where, f"not UTF-8 text: {error}")
    except ValidationError as error:
        reading.note(where, describe_invalid(error))
    except (ValueError, TypeError, ShenheError) as error:
        reading.note(where, error)
    return ()


def _from_caption(row: CaptionRow) -> Iterator[Annotation]:
    value = from_grouped(row.caption, len(row.images))
    for photo, size_wh, objects in zip(row.photos, row.sizes_wh, value.photos, strict=True):
        yield Annotation(absolute(photo), Size(*size_wh), objects)


def _from_conversation(
    row: dict[str, object], found: RowPhotos, form: CaptionFormat
) -> Iterator[Annotation]:
    """Read the caption that ends a conversation about photos.

    Raises: FormatError if it does not end so; UsageError for an impossible name of a photo.
    """
    names = found.names(row)
    turns = row["messages"]
    last = turns[-1] if isinstance(turns, list) and turns else None
    text = last.get("content") if isinstance(last, dict) else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or not isinstance(text, str):
        raise FormatError("structure", "the messages do not end with an assistant's text")
    value = _read_caption(text, len(names), form)
    for name, objects in zip(names, value.photos, strict=True):
        path = found.find(name)
        try:
            size = photos.read_stored_size(path).upright
        except PhotoError as error:
            raise FormatError("size", f"no photo to measure: {error}") from error
        yield Annotation(path, size, objects)


def _read_caption(text: str, count: int, form: CaptionFormat) -> Caption:
    """Read a caption as plain grouped JSON, or in its format.

    Raises: FormatError, see `caption.parse`.
    """
    try:
        return caption.parse(text, count)
    except FormatError:
        if form == PLAIN.caption:
            raise
        return caption.parse(text, count, form=form)
