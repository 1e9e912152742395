"""Grouped JSON: {"图片_1": {"object_1": {"bbox_2d": [...], "desc": "..."}}}. Strict both ways.

A checkpoint may be trained to write a header before it, or no keys of photos:
`text_formats.CaptionFormat`. Rows hold grouped JSON whatever the format of the answer.
`caption_recovery` reads what models write instead; this module repairs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NoReturn

from shenhe.errors import FormatError, spelled
from shenhe.formats.caption_fields import frame_at, read_object, write_object
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import Size
from shenhe.json_keys import find_repeated_key
from shenhe.values import Caption, photo_key

Grouped = dict[str, dict[str, dict[str, object]]]
"""Grouped JSON in memory: the fields of objects by the object's key, by the photo's key."""
PHOTO_KEY = re.compile(r"图片_([1-9][0-9]{0,3})")
OBJECT_KEY = re.compile(r"object_([0-9]{1,6})")
_HEADER = re.compile(r"<[A-Za-z_]{1,20}=[^<>\n]{0,40}>")
"""How the header of any format begins."""


def is_key(key: str) -> bool:
    """Whether a key is that of a photo or of an object."""
    return bool(PHOTO_KEY.fullmatch(key) or OBJECT_KEY.fullmatch(key))


def render(value: Caption, form: CaptionFormat = PLAIN.caption, header: str = "") -> str:
    """Write a caption as models must: integers 0-1000, keys in sequence, one line of JSON.

    `header` is the first that the format has, if not given.
    Raises: FormatError with code geometry or photo_count for what the format cannot hold.

        >>> render(Caption(((), ())))
        '{"图片_1": {}, "图片_2": {}}'
    """
    photos = [
        {
            f"object_{number}": write_object(item, form.polygons)
            for number, item in enumerate(objects, 1)
        }
        for objects in value.photos
    ]
    if not form.photo_keys and len(photos) != 1:
        raise FormatError("photo_count", f"this format is of one photo, not of {len(photos)}")
    named = {photo_key(index): objects for index, objects in enumerate(photos)}
    text = json.dumps(named if form.photo_keys else photos[0], ensure_ascii=False)
    return f"{header or form.headers[0]}\n{text}" if form.header else text


def to_grouped(value: Caption) -> Grouped:
    """Turn a caption into grouped JSON as rows hold it, coordinates rounded."""
    return {
        photo_key(index): {
            f"object_{number}": write_object(item) for number, item in enumerate(objects, 1)
        }
        for index, objects in enumerate(value.photos)
    }


def parse(
    text: str,
    photo_count: int | None = None,
    frames: Sequence[Size] | None = None,
    form: CaptionFormat = PLAIN.caption,
) -> Caption:
    """Read grouped JSON; errors name the object and the key that are wrong.

    Shape: one tuple of objects a photo; zero objects is valid.  Units: `frames` in, one a photo,
    0-1000 by default; 0-1000 out.
    Raises: FormatError with code empty (also for `{}`, which names no photo, in a format with keys
    of photos), header, not_json, duplicate_key, structure, key_sequence, photo_key, geometry_count,
    geometry, quad_crossing, poly_crossing, quad_order, poly_order, range, line_points, poly_points,
    desc_empty, surrogate or photo_count.

        >>> parse('{"图片_1": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}}').photos
        ((CaptionObject(shape=Box(x1=1, y1=2, x2=3, y2=4), desc='标签'),),)
    """
    if not text.strip():
        raise FormatError("empty", "the caption is empty")
    header, body = split_header(text, form)
    if form.header and not header:
        raise FormatError("header", f"the first line must be {' or '.join(form.headers)}")
    try:
        grouped = json.loads(body, object_pairs_hook=_refuse_duplicates)
    except json.JSONDecodeError as error:
        raise FormatError("not_json", f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise FormatError("not_json", "not grouped JSON: nested too deeply") from error
    except ValueError as error:  # Python limits the digits of an integer
        raise FormatError("not_json", f"not grouped JSON: {error}") from error
    if not form.photo_keys:
        _refuse_photo_keys(grouped)
        grouped = {photo_key(0): grouped}
    return from_grouped(grouped, photo_count, frames, form)


def split_header(text: str, form: CaptionFormat) -> tuple[str, str]:
    r"""Split a text into the header that stands on its first line, if there is one, and the rest.

    Raises: FormatError with code header for the header of another format.

        >>> split_header("<A=B>\n{}", CaptionFormat(header="<A=B>"))
        ('<A=B>', '{}')
    """
    first, _, rest = text.strip().partition("\n")
    if first.strip() in form.headers:
        return first.strip(), rest
    if header := _HEADER.match(first):
        expected = " or ".join(form.headers) or "no header"
        raise FormatError(
            "header",
            f"the header {first[header.start() : 60]!r} is of another format, where {expected} is"
            f" expected: say what the model was trained on, for instance"
            f" {spelled('formats', 'domain')}",
        )
    return "", text


def from_grouped(
    grouped: object,
    photo_count: int | None = None,
    frames: Sequence[Size] | None = None,
    form: CaptionFormat = PLAIN.caption,
) -> Caption:
    """Read grouped JSON in memory, under keys of photos; shape and units as in `parse`.

    Raises: FormatError, see `parse`.
    """
    if grouped == {}:
        raise FormatError(
            "empty", "the caption names no photo: a photo without objects is 图片_1: {}"
        )
    photos = []
    for index, (key, objects) in enumerate(_members(grouped, "the caption").items()):
        if key != photo_key(index):
            raise FormatError("key_sequence", f"expected {photo_key(index)}, got {key!r}")
        frame = frame_at(frames, index)
        photos.append(
            tuple(
                read_object(f"{key}/{name}", _members(item, f"{key}/{name}"), frame, form.polygons)
                for name, item in _numbered_members(key, objects)
            )
        )
    if photo_count is not None and len(photos) != photo_count:
        raise FormatError("photo_count", f"expected {photo_count} photos, got {len(photos)}")
    return Caption(tuple(photos))


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if (key := find_repeated_key(pairs)) is not None:
        raise FormatError("duplicate_key", f"the key {key!r} stands twice in one object")
    return dict(pairs)


def _members(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FormatError("structure", f"{path} must be a JSON object")
    return value


def _numbered_members(photo: str, objects: object) -> list[tuple[str, object]]:
    items = list(_members(objects, photo).items())
    for number, (key, _) in enumerate(items, 1):
        if key != f"object_{number}":
            raise FormatError("key_sequence", f"{photo}: expected object_{number}, got {key!r}")
    return items


def refuse_photo_key(key: str) -> NoReturn:
    """Refuse the key of a photo in a format that has none.

    Raises: FormatError with code photo_key.
    """
    raise FormatError(
        "photo_key",
        f"objects stand under {key}, but the format in use has no keys of photos: it is another one"
        f" ({spelled('formats', 'plain')})",
    )


def _refuse_photo_keys(grouped: object) -> None:
    key = next(iter(grouped), "") if isinstance(grouped, dict) else ""
    if PHOTO_KEY.fullmatch(key):
        refuse_photo_key(key)
