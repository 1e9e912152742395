"""Natural order of names, in bounded memory."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice

IN_MEMORY = 100_000
"""Most names that are sorted in memory; more are sorted on disk."""
_NUMBER = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Key of natural order: img-2 before img-10; the exact spelling breaks ties.

    >>> sorted(["img-10.jpg", "img-2.jpg"], key=natural_key)
    ['img-2.jpg', 'img-10.jpg']
    """
    parts = (
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in _NUMBER.split(name)
        if part
    )
    return tuple(parts), name


def sort_naturally(names: Iterable[str]) -> Iterator[str]:
    """Yield names in natural order; more than `IN_MEMORY` are sorted in a temporary database."""
    remaining = iter(names)
    batch = list(islice(remaining, IN_MEMORY + 1))
    if len(batch) <= IN_MEMORY:
        yield from sorted(batch, key=natural_key)
        return
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        db.execute(
            "CREATE TABLE names (key BLOB, name BLOB, PRIMARY KEY (key, name)) WITHOUT ROWID"
        )
        remaining = chain(batch, remaining)
        while batch := list(islice(remaining, IN_MEMORY)):
            db.execute("BEGIN")
            db.executemany(
                "INSERT OR IGNORE INTO names VALUES (?, ?)",
                ((_sortable(name), os.fsencode(name)) for name in batch),
            )
            db.execute("COMMIT")
        for (name,) in db.execute("SELECT name FROM names ORDER BY key, name"):
            yield os.fsdecode(name)


def _sortable(name: str) -> bytes:
    """Encode a natural key as bytes of the same order."""
    parts, _ = natural_key(name)
    # A number is prefixed with its count of digits. A text ends with NUL, which sorts before every
    # character of a longer text.
    encoded = (
        f"0{len(str(number)):05d}{number}" if kind == 0 else f"1{text}\0"
        for kind, number, text in parts
    )
    return "".join(encoded).encode("utf-8", "surrogatepass")
