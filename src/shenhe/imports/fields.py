"""Fields of other tools' files: of the right type and finite, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from shenhe.errors import FormatError, IntakeError
from shenhe.geometry import Point, Size
from shenhe.json_keys import refuse_repeated_keys

Fields = dict[str, object]
MAX_NUMBER: Final = 1e7
"""Pixels: no photo is so wide."""
MAX_FILE_BYTES: Final = 4 << 30
MAX_SHOWN: Final = 60


def read_json(path: Path) -> object:
    """Read a JSON file of another tool.

    Raises: IntakeError if it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise IntakeError(f"{path}: larger than {MAX_FILE_BYTES >> 30} GiB")
        value: object = json.loads(
            path.read_text(encoding="utf-8-sig"), object_pairs_hook=refuse_repeated_keys
        )
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise IntakeError(f"{path}: nested too deeply") from error
    except ValueError as error:  # of JSON, of UTF-8, of digits
        raise IntakeError(f"{path}: no JSON: {error}") from error
    return value


def as_object(value: object, name: str) -> Fields:
    """Give a field that must be a JSON object.

    Raises: FormatError.
    """
    if not isinstance(value, dict):
        raise FormatError("structure", f"{name} is {_shown(value)}, no object")
    return value


def as_list(value: object, name: str) -> list[object]:
    """Give a field that must be a list.

    Raises: FormatError.
    """
    if not isinstance(value, list):
        raise FormatError("structure", f"{name} is {_shown(value)}, no list")
    return value


def as_text(value: object, name: str) -> str:
    """Give a field that must be a text.

    Raises: FormatError.
    """
    if not isinstance(value, str):
        raise FormatError("structure", f"{name} is {_shown(value)}, no text")
    return value


def as_number(value: object, name: str) -> float:
    """Give a field that must be a finite number of a photo's order.

    Raises: FormatError.

    >>> as_number(3, "x")
    3.0
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN is neither above nor below.
    if not is_number or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        raise FormatError("geometry", f"{name} is {_shown(value)}, no number of pixels")
    return float(value)


def as_size(width: object, height: object) -> Size | None:
    """Give the size of a photo as a tool tells it; None if it tells none.

    Raises: FormatError for a size that no photo has.
    """
    if width is None and height is None:
        return None
    sides = as_number(width, "the width"), as_number(height, "the height")
    if min(sides) < 1:
        raise FormatError("geometry", f"a photo of {sides[0]:g} x {sides[1]:g} pixels")
    return Size(round(sides[0]), round(sides[1]))


def as_points(value: object, name: str) -> list[Point]:
    """Give a list of [x, y].

    Raises: FormatError.
    """
    points: list[Point] = []
    for entry in as_list(value, name):
        pair = as_list(entry, f"a point of {name}")
        if len(pair) != 2:
            raise FormatError("geometry", f"a point of {name} has {len(pair)} numbers")
        points.append((as_number(pair[0], name), as_number(pair[1], name)))
    return points


def pairs_of(value: object, name: str) -> list[Point]:
    """Give points that are written as one flat list, x and y alternating.

    Raises: FormatError.
    """
    numbers = [as_number(number, name) for number in as_list(value, name)]
    if len(numbers) % 2:
        raise FormatError("geometry", f"{name} has an odd count of numbers")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _shown(value: object) -> str:
    return f"{value!r:.{MAX_SHOWN}}"
