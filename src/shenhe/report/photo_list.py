"""The list of photos that goes back to whoever took them: a line a group, as JSONL or XLSX."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from shenhe.files import whole_file
from shenhe.intake.photo_survey import SurveyedGroup
from shenhe.locations import location_text
from shenhe.photos.flags import FLAGS, flag_of_use, flag_photos
from shenhe.photos.reuse import PhotoOwner, PhotoRegister, ReuseIndex
from shenhe.printable import printable
from shenhe.rows.photo_marks import describe_use, find_earlier, register_files
from shenhe.rows.photo_rows import GroupPhotosRow, ListedPhoto
from shenhe.rows.problem_words import words_of_kind, words_of_photo
from shenhe.rows.sheets import TextWorkbook
from shenhe.rows.words import FLAG_WORDS, Words
from shenhe.values import FAIL, PASS, photo_key

Language = Literal["zh", "en"]
MAX_NAMED: Final = 100
"""Photos that one cell of a sheet names; the others are counted."""
LABELS: Final = {"pass": f"审核{PASS}", "fail": f"审核{FAIL}", None: ""}
_COLUMNS: Final[Mapping[Words, int]] = {
    Words("任务", "mission"): 26,
    Words("组", "group"): 24,
    Words("原人工结论", "label"): 12,
    Words("照片数", "photos"): 8,
    Words("打不开的照片", "photos that cannot be opened"): 34,
    Words("没有查看的文件", "files not looked at"): 34,
    Words("没有查看的原因", "why not looked at"): 48,
    Words("结论文件夹应为", "label folder probably meant"): 16,
}
_LAST_COLUMNS: Final[Mapping[Words, int]] = {Words("文件夹", "folder"): 60}
FLAG_WIDTH: Final = 30


@dataclass(slots=True)
class ListCounts:
    """Counts of a list: groups, photos, those that cannot be read, and what else is told.

    `flags` counts photos, `faults` lines about what was not looked at.

        ListCounts(groups=2, photos=7, flags=Counter(blurred=1))
    """

    groups: int = 0
    photos: int = 0
    unreadable: int = 0
    left_out: int = 0
    faults: int = 0
    not_compared: int = 0
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, row: GroupPhotosRow) -> None:
        """Count a line of the list."""
        self.groups += row.group_id is not None
        self.faults += bool(row.problem)
        self.photos += len(row.photos)
        self.unreadable += sum(photo.code is not None for photo in row.photos)
        self.left_out += len(row.left_out)
        self.flags.update(flag for photo in row.photos for flag in photo.flags)

    @property
    def complete(self) -> bool:
        """Whether everything was looked at."""
        return not (self.unreadable or self.left_out or self.faults)


def write_photo_list(
    looked_at: Iterable[SurveyedGroup | GroupPhotosRow],
    path: Path,
    earlier: Sequence[Path] = (),
    language: Language = "zh",
    watch: Callable[[int], None] = lambda photos: None,
) -> ListCounts:
    """Write the list of groups, and of what was not looked at, as rows that stand among them.

    All groups are looked at first, which goes to a temporary file: only then is it known which
    photos were used again. `watch` is told how many photos were looked at.
    Raises: RunError for an earlier run without rows, or a list that cannot be written.

        write_photo_list(survey(tree.groups(mission)), Path("photos.xlsx"))
    """
    counts = ListCounts()
    with closing(PhotoRegister()) as register, tempfile.TemporaryFile() as rows:
        for run in earlier:
            register_files(register, find_earlier(run), run=run.resolve().name)
        counts.not_compared = register.without_facts
        for row in _note(looked_at, register, watch):
            rows.write(row.to_json().encode() + b"\n")
        rows.seek(0)
        index = register.finish()
        with whole_file(path) as partial:
            write = _write_sheet if path.suffix.casefold() == ".xlsx" else _write_lines
            write(_counted(_marked(rows, index), counts), partial, language)
    return counts


def _note(
    looked_at: Iterable[SurveyedGroup | GroupPhotosRow],
    register: PhotoRegister,
    watch: Callable[[int], None],
) -> Iterator[GroupPhotosRow]:
    photos = 0
    for surveyed in looked_at:
        if isinstance(surveyed, GroupPhotosRow):
            yield surveyed
            continue
        row = _row_of(surveyed)
        register.add(_owner_of(row), [photo.facts for photo in row.photos])
        photos += len(row.photos)
        watch(photos)
        yield row


def _row_of(surveyed: SurveyedGroup) -> GroupPhotosRow:
    group = surveyed.group
    problem = group.problem
    if not problem and not group.photos:
        problem = f"group {group.group_id} has no photo"
    return GroupPhotosRow(
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        folder=location_text(group.photos[0].parent) if group.photos else None,
        photos=[
            ListedPhoto(
                name=location_text(photo.path).rpartition("/")[2],
                facts=photo.facts,
                code=photo.code or None,
                message=photo.message or None,
            )
            for photo in surveyed.photos
        ],
        left_out=list(group.left_out),
        problem=problem,
    )


def _owner_of(row: GroupPhotosRow) -> PhotoOwner:
    return PhotoOwner("", row.mission, row.label or "", row.group_id or "")


def _marked(rows: IO[bytes], index: ReuseIndex) -> Iterator[GroupPhotosRow]:
    """Give the rows their flags, once all photos are known."""
    for line in rows:
        row = GroupPhotosRow.model_validate_json(line)
        if row.group_id is None:
            yield row
            continue
        facts = [photo.facts for photo in row.photos]
        reused = index.find(_owner_of(row), facts)
        flags = flag_photos(row.group_id, facts, reused)
        photos = [
            photo.model_copy(update={"flags": found})
            for photo, found in zip(row.photos, flags, strict=True)
        ]
        present = {flag for found in flags for flag in found}
        listed = [flag for flag in FLAGS if flag in present]
        yield row.model_copy(update={"photos": photos, "flags": listed, "reused": reused})


def _counted(rows: Iterable[GroupPhotosRow], counts: ListCounts) -> Iterator[GroupPhotosRow]:
    for row in rows:
        counts.add(row)
        yield row


def _write_lines(rows: Iterable[GroupPhotosRow], path: Path, language: Language) -> None:
    del language  # rows are for programs: their words are codes
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(row.to_json() + "\n")


def _write_sheet(rows: Iterable[GroupPhotosRow], path: Path, language: Language) -> None:
    flags = {FLAG_WORDS[flag]: FLAG_WIDTH for flag in FLAGS}
    widths = {**_COLUMNS, **flags, **_LAST_COLUMNS}
    columns = {getattr(words, language): width for words, width in widths.items()}
    book = TextWorkbook(Words("照片", "photos")._asdict()[language], columns)
    for row in rows:
        book.append(_cells(row, language))
    with path.open("wb") as file:
        book.save(file)


def _cells(row: GroupPhotosRow, language: Language) -> list[str]:
    bad = [(photo.name, words_of_photo(photo.code)) for photo in row.photos if photo.code]
    unreadable = [f"{name} ({getattr(words, language)})" for name, words in bad]
    kinds = [(file.path, words_of_kind(file.kind)) for file in row.left_out]
    left_out = [f"{path} ({getattr(words, language)})" for path, words in kinds]
    return [
        row.mission,
        row.group_id or "",
        LABELS[row.label],
        str(len(row.photos)) if row.group_id else "",
        _join(unreadable),
        _join(left_out),
        printable(row.problem),
        row.label_meant or "",
        *(_join(_name_photos(row, flag)) for flag in FLAGS),
        row.folder or "",
    ]


def _name_photos(row: GroupPhotosRow, flag: str) -> list[str]:
    """Name the photos with a flag, and the groups in which they were used."""
    names = []
    for index, photo in enumerate(row.photos):
        if flag in photo.flags:
            uses = [
                describe_use(use)
                for use in row.reused
                if use.photo == photo_key(index) and flag_of_use(use) == flag
            ]
            names.append(f"{photo.name} → {', '.join(uses)}" if uses else photo.name)
    return names


def _join(names: Sequence[str]) -> str:
    more = f" +{len(names) - MAX_NAMED}" if len(names) > MAX_NAMED else ""
    return printable("; ".join(names[:MAX_NAMED])) + more
