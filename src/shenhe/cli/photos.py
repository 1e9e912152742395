"""`shenhe photos`: what is in each group, and what is to be said of its photos, without a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.results import print_problems, print_unknown_folders
from shenhe.cli.reuse import earlier_option, missions_option
from shenhe.cli.values import PhotoLocation
from shenhe.cli.work import (
    DATA_ROOT_HELP,
    TreeOptions,
    layout_of,
)
from shenhe.errors import OptionError
from shenhe.languages import page_language
from shenhe.options import argument, option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.config import Mission
    from shenhe.intake import PhotoTree
    from shenhe.intake.photo_survey import SurveyedGroup
    from shenhe.report.photo_list import ListCounts
    from shenhe.rows.photo_rows import GroupPhotosRow

SUFFIXES = (".jsonl", ".xlsx")
STEP = 10_000
"""Photos between two lines of progress."""


@option_class
class PhotosOptions:
    """Options of a list of photos."""

    data_root: PhotoLocation = argument("DATA_ROOT", DATA_ROOT_HELP)
    output: Path = option("the list: .xlsx to send, .jsonl for programs", metavar="FILE")
    mission: tuple[str, ...] = missions_option()
    earlier: tuple[Path, ...] = earlier_option()
    missions: Path | None = option("missions of your own (TOML)", default=None, metavar="FILE")
    layout: TreeOptions = section("photo tree", default=TreeOptions())


def photos(options: PhotosOptions) -> int:
    """Look at all photos of a tree, and write a line a group.

    Raises: OptionError for a list in another form; IntakeError if the tree has no mission's folder.
    """
    from shenhe.config import load_missions
    from shenhe.intake import PhotoTree
    from shenhe.report.photo_list import write_photo_list

    if options.output.suffix.casefold() not in SUFFIXES:
        raise OptionError("output", options.output, f"end its name in {' or '.join(SUFFIXES)}")
    missions = load_missions(options.missions)
    tree = PhotoTree(options.data_root, layout_of(options.layout))
    chosen = [missions.get(name) for name in options.mission] or tree.missions(missions)
    if not chosen:
        raise tree.no_mission_error(missions)
    code = print_unknown_folders(tree, missions)
    counts = write_photo_list(
        _look_at(tree, chosen), options.output, options.earlier, page_language(), _tell_progress
    )
    _print_counts(counts)
    show(f"photos: {options.output}")
    return max(code, int(not counts.complete))


def _look_at(tree: PhotoTree, missions: list[Mission]) -> Iterator[SurveyedGroup | GroupPhotosRow]:
    """Look at the groups of missions, and tell what else is in their folders."""
    from shenhe.errors import IntakeError
    from shenhe.intake.photo_survey import survey

    for mission in missions:
        faults: list[str] = []
        try:
            yield from survey(tree.groups(mission, faults=faults))
        except IntakeError as error:
            faults.append(str(error))
        print_problems(faults)
        for fault in faults:
            yield from _rows_of_fault(fault, mission.name)


def _rows_of_fault(fault: str, mission: str) -> Iterator[GroupPhotosRow]:
    """Make a row a group of a label folder that is probably misspelled; else one of the fault."""
    from shenhe.intake.hints import MisspelledFolder
    from shenhe.intake.spelling import escape_name
    from shenhe.locations import location_text
    from shenhe.rows.photo_rows import GroupPhotosRow

    row = GroupPhotosRow(group_id=None, mission=mission, problem=fault)
    if not isinstance(fault, MisspelledFolder):
        yield row
        return
    row = row.model_copy(update={"label_meant": fault.label})
    for folder in fault.folders:
        group_id = escape_name(folder.name)
        yield row.model_copy(update={"group_id": group_id, "folder": location_text(folder)})
    if not fault.folders:
        yield row


def _tell_progress(photos: int) -> None:
    if photos % STEP == 0:
        show(f"{photos} photos looked at", file=sys.stderr)


def _print_counts(counts: ListCounts) -> None:
    from shenhe.rows.words import FLAG_WORDS

    show(f"photos: {counts.groups} groups, {counts.photos} photos", file=sys.stderr)
    rest = {"cannot be opened": counts.unreadable, "files not looked at": counts.left_out}
    rest["photos of earlier runs without facts, not compared"] = counts.not_compared
    for text, count in rest.items():
        if count:
            show(f"  {text}: {count}", file=sys.stderr)
    for flag, words in FLAG_WORDS.items():
        if counts.flags[flag]:
            show(f"  {words.spoken()}: {counts.flags[flag]} photos", file=sys.stderr)
