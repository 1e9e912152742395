"""Writing of the page: everything is inline, texts of models and file names are escaped."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from shenhe.evaluation import curves, score_verdicts, svg
from shenhe.files import whole_file
from shenhe.formats.caption import from_grouped
from shenhe.languages import Language, page_language
from shenhe.overlays import DrawnObject, draw_objects
from shenhe.report.bound import find_promise
from shenhe.report.choice import WHOLE_RUN, SheetChoice
from shenhe.report.marks import MarkReading, read_marks
from shenhe.report.photos import Captions, ShownPhoto, read_shown_captions, show_photos
from shenhe.report.reading import UNSTATED, SheetGroup, sum_totals
from shenhe.report.sheet.document import describe_problem
from shenhe.report.sheet.head import describe_head
from shenhe.report.sheet.words import Speaker
from shenhe.report.tally import RunReading, read_run
from shenhe.row_types import EVIDENCE_OFF
from shenhe.rows.decision_rows import Decision
from shenhe.rows.evidence_table import CELLS, EvidenceTable, tabulate_evidence
from shenhe.rows.foreign import extra_of, extra_texts
from shenhe.rows.problem_words import words_of_kind
from shenhe.rows.words import Words, describe_false_pass, words_of
from shenhe.templating import environment
from shenhe.values import EXPECTED, FAIL, PASS, UNDECIDED_CODES, LeftOut

THUMBNAIL_SIDE = 360
MAX_EXTRA_CHARACTERS = 200
"""The length that the value of a further key of a row is cut to."""
UNDECIDED = "undecided"
CLASSES = {PASS: "pass", FAIL: "fail", None: UNDECIDED}
_CONSTANTS: Mapping[str, object] = {
    "classes": CLASSES,
    "verdicts": tuple(CLASSES),
    "labels": EXPECTED,
    "words_of": words_of,
    "words_of_kind": words_of_kind,
    "codes": UNDECIDED_CODES,
    "cells": CELLS,
    "svg": svg,
}
CHECKED = Words("已按证据规则核对", "evidence checked")
EVIDENCE_WORDS = {
    EVIDENCE_OFF: Words("证据规则已关闭", "evidence rules turned off"),
    "": Words("任务没有证据规则", "mission without evidence rules"),
    None: Words("未经证据规则核对", "evidence not checked"),
}
"""What `meta.evidence.rules` says; a hash says that the rules were applied."""


class CodeCount(NamedTuple):
    """How often groups are undecided for a code, in the order of the missions."""

    code: str
    words: Words
    groups: list[int]


class ReportPhoto(NamedTuple):
    """A photo of a group, with the objects of its dense caption; none without one."""

    shown: ShownPhoto
    thumbnail: str
    """A data URL; empty where the photo cannot be opened, with the reason in `problem`."""
    problem: str
    objects: list[DrawnObject]


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """One group of the page."""

    group: SheetGroup
    name: str
    """The class of its verdict on the page."""
    agrees: bool | None
    photos: list[ReportPhoto]
    left_out: list[LeftOut]
    """Files of its folder that may be photos and were not looked at."""
    evidence: EvidenceTable | None
    extra: list[tuple[str, str]]
    """Keys that another tool gave the row, and their values."""


def write_report(
    run_dir: Path,
    max_groups: int = 500,
    language: Language | None = None,
    choice: SheetChoice = WHOLE_RUN,
    path: Path | None = None,
    decisions: Iterable[Decision] | None = None,
    promise: Path | None = None,
) -> Path:
    """Write the page of a run, or of chosen groups, by default to RUN_DIR/report/index.html.

    `decisions` are the current ones, by default those of the run's folder; `language` is by default
    that of pages.
    Raises: RunError if the folder holds no verdicts or none that is chosen, or the page cannot be
    written.

    Example:
        page = write_report(Path("out"))

    """
    reading = read_run(run_dir, max_groups, choice, decisions)
    say = Speaker(language or page_language())
    values = _describe_run(say, reading, promise) | _describe_groups(say, reading)
    path = path or run_dir / "report" / "index.html"
    script = _read_script()
    values |= {"script": script, "script_hash": _hash_script(script)}
    # Not the mapping of words itself: its methods are no words.
    values |= {"say": say, "w": SimpleNamespace(**say.words), "language": say.language}
    page = environment("shenhe.report").get_template("report.html").stream(**_CONSTANTS, **values)
    with whole_file(path) as temporary:
        page.dump(str(temporary), encoding="utf-8")
    return path


def _describe_run(say: Speaker, reading: RunReading, promise: Path | None) -> dict[str, object]:
    """Give what the page says of all groups together."""
    made = datetime.now(reading.source.zone)
    return {
        "run_name": reading.source.run_name,
        "head": list(
            describe_head(say, reading.source, find_promise(reading.source, promise), made)
        ),
        "reading": reading,
        "totals": sum_totals(reading.missions),
        "why": _count_codes(reading),
        "evidence_states": _describe_rules(reading),
        "rate": _describe_rate(reading),
        "curves": curves(reading.outcomes, score_verdicts(reading.outcomes)),
    }


def _describe_groups(say: Speaker, reading: RunReading) -> dict[str, object]:
    """Give what the page says of each group that it shows, and of the photos of all."""
    run_dir = reading.source.run_dir
    marks = read_marks(run_dir, {group.row.key for group in reading.shown})
    captions = _read_captions(run_dir, reading)
    groups = [_show_group(say, group, captions, marks) for group in reading.shown]
    return {"marks": marks, "groups": groups}


def _read_script() -> str:
    return (files("shenhe.report") / "templates" / "filter.js").read_text(encoding="utf-8")


def _hash_script(script: str) -> str:
    """Hash the script as the policy of the page names it, which runs no other."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read_captions(run_dir: Path, reading: RunReading) -> Captions:
    """Read the captions of the photos that are shown, each captioned alone."""
    images = {image for group in reading.shown for image in group.images}
    return read_shown_captions(run_dir, images)


def _show_group(
    say: Speaker, group: SheetGroup, captions: Captions, marks: MarkReading
) -> ReportGroup:
    row, label, summary = group.row, group.label, group.summary
    images = dict(zip(group.photo_keys, group.images, strict=False))
    photos = []
    # The pictures are plain: the page draws captions over them, to be turned off.
    for photo in show_photos(group, {}, marks.shown.get(row.key), THUMBNAIL_SIDE):
        caption = captions.get(images.get(photo.key, ""))
        objects = draw_objects(from_grouped(caption.caption).photos[0]) if caption else []
        problem = "" if photo.jpeg else describe_problem(say, photo)
        photos.append(ReportPhoto(photo, _data_url(photo.jpeg), problem, objects))
    return ReportGroup(
        group,
        CLASSES[row.verdict],
        EXPECTED[label] == row.verdict if label and row.verdict else None,
        photos,
        summary.meta.left_out if summary else [],
        tabulate_evidence(row, group.photo_keys),
        [(key, text[:MAX_EXTRA_CHARACTERS]) for key, text in extra_texts(extra_of(summary, row))],
    )


def _count_codes(reading: RunReading) -> list[CodeCount]:
    """Count undecided groups by code: those of shenhe in their order, then those of engines."""
    present = {code for mission in reading.missions for code in mission.why}
    ours = [code for code in UNDECIDED_CODES if code in present]
    foreign = sorted(present - {*UNDECIDED_CODES, UNSTATED})
    return [
        CodeCount(code, words_of(code), [mission.why[code] for mission in reading.missions])
        for code in (*ours, *foreign, *({UNSTATED} & present))
    ]


def _describe_rules(reading: RunReading) -> list[tuple[Words, int]]:
    """Count the groups by whether their evidence was checked."""
    counts: Counter[Words] = Counter()
    for mission in reading.missions:
        for rules, count in mission.evidence.items():
            counts[EVIDENCE_WORDS.get(rules, CHECKED)] += count
    return counts.most_common()


def _describe_rate(reading: RunReading) -> Words:
    scores = sum_totals(reading.missions).by_label
    return describe_false_pass(scores.false_pass, scores.bad_passes)


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode() if jpeg else ""
