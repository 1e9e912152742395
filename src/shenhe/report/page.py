"""Writing of the page: everything is inline, texts of models and file names are escaped."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from shenhe import photos
from shenhe.errors import PhotoError
from shenhe.evaluation import curves, has_decisions, score_verdicts, svg
from shenhe.files import whole_file
from shenhe.formats.caption import from_grouped
from shenhe.formats.verdict import photos_named
from shenhe.locations import Location
from shenhe.overlays import DrawnObject, draw_objects
from shenhe.printable import printable
from shenhe.proportions import Share
from shenhe.report.marks import MarkReading, read_marks
from shenhe.report.tally import UNDECIDED, UNSTATED, RunReading, read_run
from shenhe.row_types import EVIDENCE_OFF, CaptionRow, SummaryRow, VerdictRow, utc_now
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from shenhe.rows.evidence_table import CELLS, EvidenceTable, tabulate_evidence
from shenhe.rows.foreign import extra_of, extra_texts
from shenhe.rows.photo_marks import PhotoMark, PhotoMarks
from shenhe.rows.readers import caption_files, read_captions
from shenhe.rows.words import Words, describe_false_pass, words_of
from shenhe.templating import environment
from shenhe.values import EXPECTED, FAIL, PASS, UNDECIDED_CODES, LeftOut, photo_key

THUMBNAIL_SIDE = 360
JPEG_QUALITY = 72
NO_PHOTO = "没有照片路径 the row names no photo"
MAX_EXTRA_CHARACTERS = 200
"""The length that the value of a further key of a row is cut to."""
NAMES = {PASS: "通过", FAIL: "不通过", UNDECIDED: "未决 undecided"}
CLASSES = {PASS: "pass", FAIL: "fail", UNDECIDED: "undecided"}
_CONSTANTS: Mapping[str, object] = {
    "verdicts": tuple(NAMES),
    "names": NAMES,
    "classes": CLASSES,
    "labels": EXPECTED,
    "words_of": words_of,
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


@dataclass(frozen=True, slots=True)
class ReportPhoto:
    """One photo of a group; `thumbnail` is a data URL, or empty with the reason in `problem`."""

    key: str
    name: str
    line: str
    thumbnail: str
    problem: str
    named_in_reason: bool
    damaged_inside: str
    """What its decoder said of damage; empty if it is whole."""
    objects: list[DrawnObject]
    """Objects of its dense caption; empty without one."""
    marks: list[PhotoMark]
    """What is said of it beside the model."""


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """One group of the page."""

    row: VerdictRow
    verdict: str
    agrees: bool | None
    photos: list[ReportPhoto]
    decision: Decision | None
    """What people decided in review."""
    left_out: list[LeftOut]
    """Files of its folder that may be photos and were not looked at."""
    evidence: EvidenceTable | None
    extra: list[tuple[str, str]]
    """Keys that another tool gave the row, and their values."""


def write_report(run_dir: Path, max_groups: int = 500) -> Path:
    """Write RUN_DIR/report/index.html and return its path.

    Raises: RunError if the folder holds no verdicts or cannot be written.

    Example:
        page = write_report(Path("out"))

    """
    reading = read_run(run_dir, max_groups)
    decisions = _read_decisions(run_dir)
    marks = read_marks(run_dir, {row.key for row, _ in reading.shown})
    path = run_dir / "report" / "index.html"
    script = _read_script()
    page = (
        environment("shenhe.report")
        .get_template("report.html")
        .stream(
            script=script,
            script_hash=_hash_script(script),
            run_name=run_dir.resolve().name,
            made=utc_now(),
            reading=reading,
            **_CONSTANTS,
            why=_count_codes(reading),
            evidence_states=_describe_rules(reading),
            rate=_describe_rate(reading),
            groups=_show_groups(reading, _read_captions(run_dir, reading), decisions, marks),
            marks=marks,
            reviewed=Counter(decision.overrules for decision in decisions.values()),
            curves=curves(reading.outcomes, score_verdicts(reading.outcomes)),
        )
    )
    with whole_file(path) as temporary:
        page.dump(str(temporary), encoding="utf-8")
    return path


def _read_script() -> str:
    return (files("shenhe.report") / "templates" / "filter.js").read_text(encoding="utf-8")


def _hash_script(script: str) -> str:
    """Hash the script as the policy of the page names it, which runs no other."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


Captions = dict[str, CaptionRow]
"""Dense captions by the path of their photo."""


def _read_captions(run_dir: Path, reading: RunReading) -> Captions:
    """Read the captions of the photos that are shown, each captioned alone."""
    shown = {image for _, summary in reading.shown if summary for image in summary.images}
    return {
        row.images[0]: row
        for path in caption_files(run_dir)
        for row in read_captions(path)
        if len(row.images) == 1 and row.images[0] in shown
    }


def _read_decisions(run_dir: Path) -> dict[str, Decision]:
    """Read the decisions of people, by the key of the group."""
    if not has_decisions(run_dir):
        return {}
    return {decision.key: decision for decision in Decisions(run_dir).all_current()}


def _show_groups(
    reading: RunReading, captions: Captions, decisions: dict[str, Decision], marks: MarkReading
) -> list[ReportGroup]:
    return [
        _show_group(row, summary, captions, decisions.get(row.key), marks.shown.get(row.key))
        for row, summary in reading.shown
    ]


def _show_group(
    row: VerdictRow,
    summary: SummaryRow | None,
    captions: Captions,
    decision: Decision | None,
    marks: PhotoMarks | None,
) -> ReportGroup:
    agrees = EXPECTED[row.label] == row.verdict if row.label and row.verdict else None
    pictures = list(_show_photos(row, summary, captions, marks)) if summary else []
    return ReportGroup(
        row,
        row.verdict or UNDECIDED,
        agrees,
        pictures,
        decision,
        summary.meta.left_out if summary else [],
        tabulate_evidence(row, [picture.key for picture in pictures]),
        _cut_extra(row, summary),
    )


def _show_photos(
    row: VerdictRow, summary: SummaryRow, captions: Captions, marks: PhotoMarks | None
) -> Iterator[ReportPhoto]:
    """Show each photo with its line; rows of other tools may hold either without the other."""
    named = photos_named(row.reason)
    pictures = {photo_key(index): photo for index, photo in enumerate(summary.photos)}
    images = {photo_key(index): image for index, image in enumerate(summary.images)}
    for index, key in enumerate(dict.fromkeys((*pictures, *summary.per_image))):
        photo, caption = pictures.get(key), captions.get(images.get(key, ""))
        thumbnail, problem = _make_thumbnail(photo) if photo else ("", NO_PHOTO)
        yield ReportPhoto(
            key,
            printable(photo.name) if photo else "",
            summary.per_image.get(key, ""),
            thumbnail,
            problem,
            key in named,
            summary.damaged_inside(key),
            draw_objects(from_grouped(caption.caption).photos[0]) if caption else [],
            marks.of_photo(index) if marks and photo else [],
        )


def _cut_extra(row: VerdictRow, summary: SummaryRow | None) -> list[tuple[str, str]]:
    texts = extra_texts(extra_of(summary, row))
    return [(key, text[:MAX_EXTRA_CHARACTERS]) for key, text in texts]


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
    false_passes = sum(mission.false_passes for mission in reading.missions)
    failed = sum(mission.failed_by_people for mission in reading.missions)
    passed = sum(mission.labelled_passes for mission in reading.missions)
    return describe_false_pass(Share(false_passes, failed), Share(false_passes, passed))


def _make_thumbnail(path: Location) -> tuple[str, str]:
    try:
        image = photos.preview(path, THUMBNAIL_SIDE)
    except PhotoError as error:
        return "", f"{error.code}: {error}"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), ""
