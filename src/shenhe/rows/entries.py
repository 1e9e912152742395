"""What the row index holds of a row; nearly always the row's first bytes are enough to tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from shenhe.errors import DamagedRowError, RunError
from shenhe.rows.ledger import Json, parse_row
from shenhe.values import Label, group_key

IndexEntry = tuple[str, bool, str | None]
"""A key, whether what is said of it is settled, and the hash of what that rests on."""
_BEGIN = b'{"group_id":"'
_GROUP = re.compile(
    rb'\{"group_id":"([^"\\]*)","mission":"([^"\\]*)","label":(?:"(pass|fail)"|null),'
)
_LABELS: dict[bytes | None, Label | None] = {b"pass": "pass", b"fail": "fail", None: None}
_HASH = b'"inputs_hash":"'
_UNDECIDED = b'"status":"undecided"'
_LEFT_OUT = b'"left_out":[{'
"""A row's own words: within its texts every quote has a backslash before it."""


def read_entry(path: Path, number: int, line: bytes, key_of: Callable[[Json], str]) -> IndexEntry:
    """Read of a row what the index holds.

    Raises: DamagedRowError for a line that is no row.
    """
    match = _GROUP.match(line)
    if match is None or not _looks_whole(line):
        return _read_whole(path, number, line, key_of)
    key = group_key(match[2].decode(), _LABELS[match[3]], match[1].decode())
    _, _, behind = line.partition(_HASH)
    rests_on = behind.partition(b'"')[0].decode() if behind else None
    return key, _UNDECIDED not in line and _LEFT_OUT not in line, rests_on


def is_settled(row: Json) -> bool:
    """Whether a row decides, and of a group that was looked at whole."""
    meta = row.get("meta")
    left_out = meta.get("left_out") if isinstance(meta, dict) else None
    return row.get("status") != "undecided" and not left_out


def _looks_whole(line: bytes) -> bool:
    """Whether a line is one row, not two that ran together, nor one that lost bytes."""
    if not line.endswith(b"}\n") or b"\0" in line or line.find(_BEGIN, 1) != -1:
        return False
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_whole(path: Path, number: int, line: bytes, key_of: Callable[[Json], str]) -> IndexEntry:
    row = parse_row(path, number, line)
    meta = row.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    rests_on = meta.get("inputs_hash")
    try:
        key = key_of(row)
        key.encode()
    except (RunError, UnicodeEncodeError) as error:
        raise DamagedRowError(path, number, f"is no row of shenhe's: {error}") from error
    return key, is_settled(row), rests_on if isinstance(rests_on, str) else None
