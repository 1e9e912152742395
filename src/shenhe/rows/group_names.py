"""Lists of groups that people and other tools wrote: one `id::label` a line, CSV, or JSONL."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.config.missions import normalize_name
from shenhe.errors import RunError
from shenhe.rows.fields import folded, group_id_of, label_of, split_label
from shenhe.rows.ledger import BOM, parse_row
from shenhe.values import Label

MAX_SHOWN: Final = 5
"""Maximum number of names that a message shows."""
_ANY: Final = "any"
_ID_COLUMNS: Final = ("key", "group_id")
_OF_TRAINING: Final = frozenset(("images", "image", "messages", "objects", "conversations"))
_OF_TABLE: Final = re.compile(r"([1-9][0-9]{0,15}|0)\.0{1,6}")
"""A number as tables write it that take a column of ids for one: 1017.0 is the group 1017 too."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Meaning(NamedTuple):
    """What a name may mean: a mission, unless any is meant, an id, and a label, unless any is."""

    mission: str | None
    group_id: str
    label: Label | str | None


class GroupNames:
    """Groups by their names: `id`, `id::label`, `mission::id`, or `mission::id::label`.

    An id alone means the group under every label, `id::` the unlabelled one.

    >>> names = GroupNames(["QC-1::fail", "QC-2", "QC-9"])
    >>> names.match("挡风板安装检查", "pass", "QC-1"), names.match("挡风板安装检查", "pass", "QC-2")
    (False, True)
    >>> names.unmatched
    ['QC-1::fail', 'QC-9']
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._meanings: dict[_Meaning, set[str]] = {}
        self._names: dict[str, None] = {}
        self._matched: set[str] = set()
        self.mentions = 0
        """How often a group was named, the same one again counted too."""
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def hash(self) -> str:
        """Identify the groups that are named, whatever their order, by 16 hex digits."""
        text = "\n".join(sorted(self._names))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def unmatched(self) -> list[str]:
        """The names that matched no group so far."""
        return [name for name in self._names if name not in self._matched]

    def add(self, name: str, mission: str | None = None) -> None:
        """Add a group by its name; `mission` is that of the row that named it."""
        name = name.strip()
        if not name:
            return
        self.mentions += 1
        shown = f"{mission}::{name}" if mission else name
        self._names[shown] = None
        wanted = normalize_name(mission) if mission else None
        for meaning in _meanings_of(name, wanted):
            self._meanings.setdefault(meaning, set()).add(shown)
            if whole := _OF_TABLE.fullmatch(meaning.group_id):
                self._meanings.setdefault(meaning._replace(group_id=whole[1]), set()).add(shown)

    def match(self, mission: str, label: Label | None, group_id: str) -> bool:
        """Whether a group is named."""
        names: set[str] = set()
        for wanted in (None, normalize_name(mission)):
            for meant in (label, _ANY):
                names |= self._meanings.get(_Meaning(wanted, group_id, meant), set())
        self._matched |= names
        return bool(names)

    def match_key(self, key: str) -> bool:
        """Whether the group of a key is named: see `values.group_key`."""
        mission, word, group_id = key.split("\x1f", 2)
        labels: Mapping[str, Label | None] = {"pass": "pass", "fail": "fail"}
        return self.match(mission, labels.get(word), group_id)

    def describe_unmatched(self, elsewhere: Iterable[str] = ()) -> str:
        """Name the groups that are not there; empty where all of them are.

        Those of missions that were not looked at, `elsewhere`, are not missed.
        """
        missions = set(map(normalize_name, elsewhere))
        of_others = {
            name
            for meaning, names in self._meanings.items()
            if meaning.mission in missions
            for name in names
        }
        missing = [name for name in self.unmatched if name not in of_others]
        hidden = f" and {len(missing) - MAX_SHOWN} more" if len(missing) > MAX_SHOWN else ""
        return f"{', '.join(islice(missing, MAX_SHOWN))}{hidden}"


def read_group_names(paths: Iterable[Path]) -> GroupNames:
    """Read lists of groups: a name a line, a CSV with a column `group_id` or `key`, or JSONL.

    Of rows and columns, `mission` and `label` count where they are there. A line that begins with #
    is a comment.
    Raises: RunError for a file that cannot be read, or names no group.

        names = read_group_names([Path("excluded.txt")])
    """
    names = GroupNames()
    for path in paths:
        before = names.mentions
        text = _read_text(path)
        lines = text.split("\n")  # others than these also stand inside of JSON texts
        first = next((line for line in lines if line.strip()), "")
        if first.lstrip().startswith("{"):
            _add_rows(names, path, lines)
        elif columns := _columns(first):
            _add_table(names, path, text, columns)
        else:
            for line in lines:
                names.add("" if line.lstrip().startswith("#") else line)
        if names.mentions == before:
            raise RunError(f"{path}: names no group")
    return names


def _read_text(path: Path) -> str:
    """Read a list as UTF-8, or as GBK, which spreadsheets of Chinese Windows write."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise RunError(f"{path}: is no text in UTF-8")


def _columns(header: str) -> list[str]:
    """Give the names of the columns of a table; none if the line is no header of one."""
    cells = [folded(cell) for cell in next(csv.reader([header]), [])]
    return cells if any(name in cells for name in _ID_COLUMNS) else []


def _add_table(names: GroupNames, path: Path, text: str, columns: list[str]) -> None:
    rows = csv.reader(io.StringIO(text, newline=""))
    is_header = True
    for row in rows:
        if not any(map(str.strip, row)):
            continue
        if not is_header:
            values = dict(zip(columns, map(_cell, row), strict=False))
            filled = {name: value for name, value in values.items() if value}
            _add_row(names, path, rows.line_num, filled)
        is_header = False


def _add_rows(names: GroupNames, path: Path, lines: list[str]) -> None:
    for number, line in enumerate(lines, 1):
        if line.strip():
            _add_row(names, path, number, parse_row(path, number, line.encode()))


def _add_row(names: GroupNames, path: Path, number: int, row: Mapping[str, object]) -> None:
    """Add the group of a row; its key, if it has one, says whether it is unlabelled."""
    mission = row.get("mission")
    mission = mission if isinstance(mission, str) else None
    key = row.get("key")
    if isinstance(key, str) and key.strip():
        names.add(key, mission)
        return
    try:
        group_id, label = group_id_of(row), label_of(row)
    except RunError as error:
        raise RunError(f"{path}: line {number}: {error}") from error
    names.add(f"{group_id}::{label}" if label else group_id, mission)


def _cell(text: str) -> str:
    """Read a cell; an apostrophe that keeps a formula from being one is no part of it."""
    text = text.strip()
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA_STARTS) else text


def _meanings_of(name: str, mission: str | None) -> Iterator[_Meaning]:
    """List what a name may mean: a folder may have :: in its own name."""
    yield _Meaning(mission, name, _ANY)
    parts = split_label(name)
    if parts is not None:
        yield _Meaning(mission, *parts)
    first, separator, rest = name.partition("::")
    if mission is None and separator and rest:
        named = normalize_name(first)
        yield _Meaning(named, rest, _ANY)
        if (of_mission := split_label(rest)) is not None:
            yield _Meaning(named, *of_mission)


def is_group_list(path: Path) -> bool:
    """Whether a file names groups, and is no file of training rows, which name photos.

    Raises: RunError if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip(b"\xef\xbb\xbf \t\r\n")), b"")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    if not first.removeprefix(BOM).lstrip().startswith(b"{"):
        return True
    row = parse_row(path, 1, first)
    return any(name in row for name in _ID_COLUMNS) and not row.keys() & _OF_TRAINING
