"""Entries of the row index; nearly always the first bytes of a row are enough to make one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from shenhe.errors import DamagedRowError, RunError
from shenhe.rows.fields import meta_of
from shenhe.rows.keys import key_of, mission_of_file
from shenhe.rows.ledger import Json, parse_row
from shenhe.values import Label, group_key

IndexEntry = tuple[str, bool, str | None]
"""A key, whether its row is settled, and the hash of what that rests on."""
_BEGIN = b'{"group_id":"'
_GROUP = re.compile(
    rb'\{"group_id":"([^"\\]+)","mission":"([^"\\]+)","label":(?:"(pass|fail)"|null),'
)
_LABELS: dict[bytes | None, Label | None] = {b"pass": "pass", b"fail": "fail", None: None}
_HASH = b'"inputs_hash":"'
_UNDECIDED = b'"status":"undecided"'
_LEFT_OUT = b'"left_out":[{'
_EXTRA = b',"extra":{"'
"""These are keys of the row: inside its texts every quote has a backslash before it."""


def read_entry(path: Path, number: int, line: bytes, key_of: Callable[[Json], str]) -> IndexEntry:
    """Read the entry of a row.

    Raises: DamagedRowError for a line that is no row.
    """
    match = _GROUP.match(line)
    if match is None or not _looks_whole(line):
        return _parse_entry(path, number, line, key_of)
    key = group_key(match[2].decode(), _LABELS[match[3]], match[1].decode())
    line, _, _ = line.partition(_EXTRA)  # the last field: keys of other tools, of any name
    _, _, behind = line.partition(_HASH)
    inputs_hash = behind.partition(b'"')[0].decode() if behind else None
    return key, _UNDECIDED not in line and _LEFT_OUT not in line, inputs_hash


def read_key(path: Path, number: int, line: bytes) -> str:
    """Read the key of a row.

    Raises: RunError for a line that is no row.
    """
    match = _GROUP.match(line)
    is_plain = match is not None and b"::" not in match[1]
    if match is None or not is_plain or not line.endswith(b"}\n") or line.find(_BEGIN, 1) != -1:
        return key_of(parse_row(path, number, line), mission_of_file(path))
    return group_key(match[2].decode(), _LABELS[match[3]], match[1].decode())


def is_settled(row: Json) -> bool:
    """Whether a row decides, and its group was looked at whole."""
    return row.get("status") != "undecided" and not meta_of(row).get("left_out")


def _looks_whole(line: bytes) -> bool:
    """Whether a line is one row: neither two that ran together, nor one that lost bytes."""
    if not line.endswith(b"}\n") or b"\0" in line or line.find(_BEGIN, 1) != -1:
        return False
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse_entry(path: Path, number: int, line: bytes, key_of: Callable[[Json], str]) -> IndexEntry:
    row = parse_row(path, number, line)
    inputs_hash = meta_of(row).get("inputs_hash")
    try:
        key = key_of(row)
        key.encode()
    except (RunError, UnicodeEncodeError) as error:
        raise DamagedRowError(path, number, f"is no row of shenhe's: {error}") from error
    return key, is_settled(row), inputs_hash if isinstance(inputs_hash, str) else None
