"""The first row of a file, which tells what the others are."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from shenhe.errors import DamagedRowError
from shenhe.rows.ledger import Json, parse_row, read_lines
from shenhe.shards import list_shards


def first_row(path: Path) -> Json:
    """Give the first row that can be read of a file and of its further shards, else an empty one.

    Raises: RunError if a file cannot be read.
    """
    for shard in list_shards(path):
        for number, line in read_lines(shard):
            with suppress(DamagedRowError):
                return parse_row(shard, number, line)
    return {}
