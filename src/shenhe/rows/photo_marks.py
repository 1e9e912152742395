"""Marks of photos, from the facts in rows: flags by themselves, and uses in other groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from shenhe.errors import RowError, RunError
from shenhe.messages import PhotoFacts
from shenhe.photos.flags import DAMAGED_INSIDE, flag_of_use, flag_photos
from shenhe.photos.reuse import PhotoOwner, PhotoRegister, ReuseIndex
from shenhe.row_types import SummaryRow
from shenhe.rows.fields import (
    group_id_of,
    images_of,
    label_of,
    list_of,
    meta_of,
    mission_of,
    object_of,
)
from shenhe.rows.keys import mission_of_file
from shenhe.rows.ledger import Json, parse_row, read_lines
from shenhe.rows.manifest import manifest_file, read_manifest
from shenhe.rows.words import FLAG_WORDS, Words
from shenhe.shards import list_rows_files, list_shards
from shenhe.values import ReusedPhoto, photo_key

_CONTENT: Final = re.compile(r"[0-9a-f]{64}")
_USES: Final = TypeAdapter(list[ReusedPhoto])
_LOOK: Final = re.compile(r"[0-9a-f]{16}")


class PhotoMark(NamedTuple):
    """A flag of a photo in words, and the groups that use it, where it is about these."""

    flag: str
    words: Words
    uses: str


@dataclass(frozen=True, slots=True)
class PhotoMarks:
    """What is told of the photos of a group: flags of each, and uses elsewhere."""

    flags: Sequence[Sequence[str]]
    reused: Sequence[ReusedPhoto]

    @property
    def all_flags(self) -> set[str]:
        """The flags of all photos of the group."""
        return {flag for flags in self.flags for flag in flags}

    def of_photo(self, index: int) -> list[PhotoMark]:
        """Describe the marks of a photo by its index, but damage, which pages tell of anyhow."""
        key, marks = photo_key(index), []
        for flag in self.flags[index] if index < len(self.flags) else ():
            uses = [use for use in self.reused if use.photo == key and flag_of_use(use) == flag]
            if flag != DAMAGED_INSIDE:
                marks.append(PhotoMark(flag, FLAG_WORDS[flag], ", ".join(map(describe_use, uses))))
        return marks


def facts_of(row: SummaryRow) -> list[PhotoFacts | None]:
    """List the facts of the photos of a Stage-A row, in their order; None where it has none."""
    answers = (row.meta.answers.get(photo_key(index)) for index in range(len(row.images)))
    return [answer.facts if answer else None for answer in answers]


def describe_use(use: ReusedPhoto) -> str:
    """Name the group of a use: with its mission in the same order, and with its run if another.

    >>> describe_use(ReusedPhoto("图片_1", "QC-1", "挡风板安装检查", "week-46"))
    'QC-1 [week-46]'
    """
    name = f"{use.group_id} ({use.mission})" if use.same_order else use.group_id
    return f"{name} [{use.run}]" if use.run else name


def mark_photos(row: SummaryRow, reused: Sequence[ReusedPhoto]) -> PhotoMarks:
    """Find the marks of the photos of a Stage-A row, of which it is known where they are used."""
    return PhotoMarks(flag_photos(row.group_id, facts_of(row), reused), reused)


def write_uses(reused: Sequence[ReusedPhoto]) -> str:
    """Write uses as JSON."""
    return _USES.dump_json(list(reused)).decode()


def read_uses(text: str | None) -> list[ReusedPhoto]:
    """Read uses that `write_uses` wrote; none from None.

    >>> read_uses(write_uses([ReusedPhoto("图片_1", "QC-1", "挡风板安装检查")]))[0].group_id
    'QC-1'
    """
    return _USES.validate_json(text) if text else []


def owner_of(row: SummaryRow, run: str = "") -> PhotoOwner:
    """Name the group of a Stage-A row as one that has photos."""
    return PhotoOwner(run, row.mission, row.label or "", row.group_id)


@contextmanager
def opened_index(paths: Iterable[Path], earlier: Iterable[Path] = ()) -> Iterator[ReuseIndex]:
    """Index the photos of files of Stage-A rows, and of earlier runs.

        with opened_index([Path("挡风板安装检查.jsonl")], [Path("week-46")]) as index:
            uses = index.find(owner_of(row), facts_of(row))

    Raises: RunError if rows cannot be read, or an earlier run has none.
    """
    register = PhotoRegister()
    try:
        register_files(register, paths)
        for run in earlier:
            register_files(register, find_earlier(run), run=run.resolve().name)
        yield register.finish()
    finally:
        register.close()


def find_earlier(run: Path) -> list[Path]:
    """Find the rows with photos of an earlier run: its Stage-A, or a list that `photos` wrote.

    Raises: RunError if there are none.
    """
    if run.is_file():
        return [run]
    folder = run / "stage_a"
    paths = list_rows_files(folder if folder.is_dir() else run)
    if not paths:
        raise RunError(f"{run}: no rows of photos there: name a run's folder, or a list of photos")
    return paths


def earlier_runs_of(run_dir: Path) -> list[Path]:
    """List the earlier runs that the verdicts of a run were compared with, as far as they exist.

    Raises: RunError if a manifest cannot be read.
    """
    runs: dict[Path, None] = {}
    for path in list_rows_files(run_dir / "stage_b"):
        manifest = manifest_file(path)
        named = list_of(read_manifest(manifest).options, "earlier") if manifest.exists() else []
        runs.update(dict.fromkeys(Path(str(run)) for run in named))
    return [run for run in runs if run.exists()]


def register_files(register: PhotoRegister, paths: Iterable[Path], run: str = "") -> None:
    """Register the photos of files of rows; lines that are no rows are passed over.

    Raises: RunError if a file cannot be read.
    """
    for path in paths:
        for shard in list_shards(path):
            for number, line in read_lines(shard):
                try:
                    row = parse_row(shard, number, line)
                    owner = _owner_of_json(row, mission_of_file(shard), run)
                    facts = list(_facts_of_json(row))
                except (RowError, RunError):
                    continue
                register.add(owner, facts)


def _owner_of_json(row: Json, mission: str, run: str) -> PhotoOwner:
    return PhotoOwner(run, mission_of(row, mission), label_of(row) or "", group_id_of(row))


def _facts_of_json(row: Json) -> Iterator[PhotoFacts | None]:
    """Yield the hashes of each photo, of a Stage-A row or of one of a list of photos."""
    listed = list_of(row, "photos")
    if listed:
        for photo in listed:
            yield _hashes(object_of(photo, "facts") if isinstance(photo, dict) else {})
        return
    answers = object_of(meta_of(row), "answers")
    for index in range(len(images_of(row))):
        yield _hashes(object_of(object_of(answers, photo_key(index)), "facts"))


def _hashes(facts: Mapping[str, object]) -> PhotoFacts | None:
    """Take the hashes of facts that nobody has checked."""
    content, look = facts.get("content_hash"), facts.get("perceptual_hash")
    if not isinstance(content, str) or not _CONTENT.fullmatch(content):
        return None
    look = look if isinstance(look, str) and _LOOK.fullmatch(look) else None
    return PhotoFacts(content_hash=content, perceptual_hash=look)
