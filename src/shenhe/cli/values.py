"""Readers of what stands behind options: each gives a value, or says in one line what is wrong."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from shenhe.errors import UsageError
from shenhe.locations import Location, locate

MOST: int = 2**31 - 1
"""The largest count: beyond it lie slips of the hand, and what other libraries cannot hold."""
MOST_BYTES: int = 2**63 - 1
MOST_OF_A_NAME, MOST_OF_A_PATH = 255, 4095
"""What file systems take. Units: bytes."""
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
    """Read the name of a file or folder, which may stand for something else, as demo does."""
    _short_enough(value)
    return text(value)


def path(value: str) -> Path:
    """Read the path of a file or folder; it stands in files of text, so it is UTF-8."""
    return Path(name(value))


def location(value: str) -> Location:
    """Read where photos lie: a path of any bytes, or a URL that can be reached from here."""
    _not_empty(value)
    _short_enough(value)
    try:
        return locate(value)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """Make a reader of whole numbers within bounds, both included.

    whole(1)("7") == 7
    """

    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{_short(value)} is no whole number") from error
        if number < least:
            raise argparse.ArgumentTypeError(f"{_short(value)} must be {least} or more")
        if number > most:
            raise argparse.ArgumentTypeError(f"{_short(value)} must be {most} or less")
        return number

    return read


def number(value: str) -> float:
    """Read a number that is one: neither NaN nor infinite."""
    try:
        found = float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{_short(value)} is no number") from error
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"{_short(value)} is no finite number")
    return found


def size(value: str) -> int:
    """Read a size. Units: bytes.

    size("5GB") == 5_000_000_000
    """
    amount = value.upper().rstrip("BIKMGT")
    unit = value.upper()[len(amount) :]
    if unit not in UNITS or not amount.strip().replace(".", "", 1).isdecimal():
        raise argparse.ArgumentTypeError(f"{_short(value)} is no size like 5GB or 500MB")
    found = float(amount) * float(1024 if "I" in unit else 1000) ** UNITS[unit]
    if found < 1:
        raise argparse.ArgumentTypeError(f"{_short(value)} must be more than nothing")
    if found > MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{_short(value)} is more than any disk holds")
    return int(found)


def batch_size(value: str) -> int | str:
    """Read how many at once; auto leaves it to the engine."""
    return value if value == "auto" else whole(1)(value)


def _not_empty(value: str) -> None:
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    if "\0" in value:
        raise argparse.ArgumentTypeError(f"{_short(value)} holds a zero byte")


def _short_enough(value: str) -> None:
    """Refuse what no file system takes, before it is asked in many places."""
    found = os.fsencode(value)
    if len(found) > MOST_OF_A_PATH or max(map(len, found.split(b"/"))) > MOST_OF_A_NAME:
        raise argparse.ArgumentTypeError(f"{_short(value)} is too long for a file's name")


def _short(value: str) -> str:
    """Spell out a value that is no number, which may be anything, and long."""
    return value if len(value) <= 40 and value.isprintable() else f"{value[:40]!a}..."
