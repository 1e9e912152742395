"""Names in the order that people put them in, however many there are."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice

IN_MEMORY = 100_000
"""More names than this are put in order on disk."""
_NUMBER = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Order names as people do: img-2 before img-10; equal ones by their exact spelling."""
    parts = (
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in _NUMBER.split(name)
        if part
    )
    return tuple(parts), name


def naturally(names: Iterable[str]) -> Iterator[str]:
    """Yield names in natural order; many of them are sorted by SQLite, in a file that is gone
    afterwards."""
    rest = iter(names)
    first = list(islice(rest, IN_MEMORY + 1))
    if len(first) <= IN_MEMORY:
        yield from sorted(first, key=natural_key)
        return
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        db.execute(
            "CREATE TABLE names (key BLOB, name BLOB, PRIMARY KEY (key, name)) WITHOUT ROWID"
        )
        every = chain(first, rest)
        while some := list(islice(every, IN_MEMORY)):
            db.execute("BEGIN")
            db.executemany(
                "INSERT OR IGNORE INTO names VALUES (?, ?)",
                ((_sortable(name), os.fsencode(name)) for name in some),
            )
            db.execute("COMMIT")
        first.clear()
        for (name,) in db.execute("SELECT name FROM names ORDER BY key, name"):
            yield os.fsdecode(name)


def _sortable(name: str) -> bytes:
    """Write a natural key so that the order of its bytes is that of the key."""
    parts, _ = natural_key(name)
    # A number: how many digits it has, then those. A text: an end that comes before all that
    # could follow in a longer one.
    written = (
        f"0{len(str(number)):05d}{number}" if kind == 0 else f"1{text}\0"
        for kind, number, text in parts
    )
    return "".join(written).encode("utf-8", "surrogatepass")
