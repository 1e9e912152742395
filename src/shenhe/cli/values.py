"""Readers of the values of options: each returns a value, or raises a one-line error."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

from shenhe.errors import UsageError
from shenhe.locations import Location, locate
from shenhe.options import MAX_COUNT

MAX_BYTES: Final = 2**63 - 1
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 4095
"""The limits of file systems."""
UNITS = {"": 0, "B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4, "KIB": 1, "MIB": 2, "GIB": 3, "TIB": 4}


def text(value: str) -> str:
    """Read a text: not empty, and UTF-8.

    Raises: argparse.ArgumentTypeError, as all readers here do.
    """
    _not_empty(value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(
            f"{value!a} is not UTF-8: rename it, or link it"
        ) from error
    return value


def name(value: str) -> str:
    """Read the name of a file or folder, or a word that stands for one, as demo does."""
    _short_enough(value)
    return text(value)


def path(value: str) -> Path:
    """Read the path of a file or folder: UTF-8, since text files record it."""
    return Path(name(value))


def location(value: str) -> Location:
    """Read the location of photos: a path of any bytes, or a URL of a supported kind."""
    _not_empty(value)
    _short_enough(value)
    try:
        return locate(value)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def whole(minimum: int, maximum: int = MAX_COUNT) -> Callable[[str], int]:
    """Make a reader of whole numbers within bounds, both included.

    whole(1)("7") == 7
    """

    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError as error:
            bound = "" if minimum < 0 else f" of {minimum} or more"
            raise argparse.ArgumentTypeError(
                f"{_short(value)} is no whole number{bound}"
            ) from error
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{_short(value)} must be {minimum} or more")
        if number > maximum:
            raise argparse.ArgumentTypeError(f"{_short(value)} must be {maximum} or less")
        return number

    return read


def number(value: str) -> float:
    """Read a finite number."""
    try:
        amount = float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{_short(value)} is no number") from error
    if not math.isfinite(amount):
        raise argparse.ArgumentTypeError(f"{_short(value)} is no finite number")
    return amount


def size(value: str) -> int:
    """Read a size. Units: bytes.

    size("5GB") == 5_000_000_000
    """
    amount = value.upper().rstrip("BIKMGT")
    unit = value.upper()[len(amount) :]
    if unit not in UNITS or not amount.strip().replace(".", "", 1).isdecimal():
        raise argparse.ArgumentTypeError(f"{_short(value)} is no size like 5GB or 500MB")
    nbytes = float(amount) * float(1024 if "I" in unit else 1000) ** UNITS[unit]
    if nbytes < 1:
        raise argparse.ArgumentTypeError(f"{_short(value)} must be more than nothing")
    if nbytes > MAX_BYTES:
        raise argparse.ArgumentTypeError(f"{_short(value)} is more than any disk holds")
    return int(nbytes)


def either(words: Iterable[str], read: Callable[[str], object]) -> Callable[[str], object]:
    """Make a reader of some words, which stand for themselves, or of what another reader takes.

    >>> either(["auto"], whole(1))("auto"), either(["auto"], whole(1))("8")
    ('auto', 8)
    """
    chosen = frozenset(words)
    return lambda value: value if value in chosen else read(value)


def _not_empty(value: str) -> None:
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    if "\0" in value:
        raise argparse.ArgumentTypeError(f"{_short(value)} holds a zero byte")


def _short_enough(value: str) -> None:
    """Refuse names that no file system takes."""
    encoded = os.fsencode(value)
    if len(encoded) > MAX_PATH_BYTES or max(map(len, encoded.split(b"/"))) > MAX_NAME_BYTES:
        raise argparse.ArgumentTypeError(f"{_short(value)} is too long for a file's name")


def _short(value: str) -> str:
    """Shorten and escape a value for a message."""
    return value if len(value) <= 40 and value.isprintable() else f"{value[:40]!a}..."


ByteSize = Annotated[int, size]
PhotoLocation = Annotated[Location, location]
