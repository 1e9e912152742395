"""Writing the page: everything inline, everything that a model or a file name says escaped."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
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
from shenhe.geometry import Line
from shenhe.locations import Location, locate
from shenhe.overlays import colour_of
from shenhe.printable import printable
from shenhe.report.tally import UNDECIDED, RunReading, read_run
from shenhe.row_types import CaptionRow, SummaryRow, VerdictRow, utc_now
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from shenhe.rows.readers import caption_files, read_captions
from shenhe.templating import environment
from shenhe.values import EXPECTED, FAIL, PASS, LeftOut

THUMBNAIL_SIDE = 360
JPEG_QUALITY = 72
NAMES = {PASS: "通过", FAIL: "不通过", UNDECIDED: "未决 undecided"}
CLASSES = {PASS: "pass", FAIL: "fail", UNDECIDED: "undecided"}


class DrawnObject(NamedTuple):
    """An object of a caption as SVG draws it. Units: a thousandth of the photo's sides."""

    points: str
    closed: bool
    colour: str
    left: float
    top: float
    desc: str


@dataclass(frozen=True, slots=True)
class PhotoView:
    """One photo of a group; `thumbnail` is a data URL, or empty with the reason in `problem`."""

    key: str
    name: str
    line: str
    thumbnail: str
    problem: str
    named_in_reason: bool
    damaged_inside: str
    """What its decoder said of damage, empty where it said nothing."""
    things: list[DrawnObject]
    """What its dense caption says is there, where the run has one."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group of the page."""

    row: VerdictRow
    verdict: str
    agrees: bool | None
    photos: list[PhotoView]
    decision: Decision | None
    """What people decided in review."""
    left_out: list[LeftOut]
    """What lies in its folder, may be a photo, and was not looked at."""


def write_report(run_dir: Path, max_groups: int = 500) -> Path:
    """Write RUN_DIR/report/index.html and return its path.

    Raises: RunError if the folder holds no verdicts or cannot be written.
    """
    reading = read_run(run_dir, max_groups)
    decided = _decided(run_dir)
    path = run_dir / "report" / "index.html"
    script = (files("shenhe.report") / "templates" / "filter.js").read_text(encoding="utf-8")
    page = (
        environment("shenhe.report")
        .get_template("report.html")
        .stream(
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            run_name=run_dir.resolve().name,
            made=utc_now(),
            reading=reading,
            verdicts=tuple(NAMES),
            names=NAMES,
            classes=CLASSES,
            labels=EXPECTED,
            groups=_groups(reading, _captions(run_dir, reading), decided),
            reviewed=Counter(one.overrules for one in decided.values()),
            curves=curves(reading.outcomes, score_verdicts(reading.outcomes)),
            svg=svg,
        )
    )
    with whole_file(path) as fresh:
        page.dump(str(fresh), encoding="utf-8")
    return path


Captions = dict[str, CaptionRow]
"""Dense captions by the path of their photo."""


def _captions(run_dir: Path, reading: RunReading) -> Captions:
    """Find the captions of the photos that are shown, each seen alone."""
    shown = {image for _, summary in reading.shown if summary for image in summary.images}
    return {
        row.images[0]: row
        for path in caption_files(run_dir)
        for row in read_captions(path)
        if len(row.images) == 1 and row.images[0] in shown
    }


def _decided(run_dir: Path) -> dict[str, Decision]:
    """Find what people decided, by the key of its group."""
    if not has_decisions(run_dir):
        return {}
    return {one.key: one for one in Decisions(run_dir).all_current()}


def _groups(
    reading: RunReading, captions: Captions, decided: dict[str, Decision]
) -> list[GroupView]:
    return [_view(row, summary, captions, decided.get(row.key)) for row, summary in reading.shown]


def _view(
    row: VerdictRow,
    summary: SummaryRow | None,
    captions: Captions,
    decision: Decision | None,
) -> GroupView:
    views = []
    if summary is not None:
        for (key, line), image in zip(summary.per_image.items(), summary.images, strict=False):
            thumbnail, problem = _thumbnail(locate(image))
            named = key in photos_named(row.reason)
            things = _things(captions.get(image))
            name = printable(locate(image).name)
            damage = summary.damaged_inside(key)
            views.append(PhotoView(key, name, line, thumbnail, problem, named, damage, things))
    agrees = EXPECTED[row.label] == row.verdict if row.label and row.verdict else None
    left_out = summary.meta.left_out if summary else []
    return GroupView(row, row.verdict or UNDECIDED, agrees, views, decision, left_out)


def _things(caption: CaptionRow | None) -> list[DrawnObject]:
    if caption is None:
        return []
    things = []
    for thing in from_grouped(caption.caption).photos[0]:
        points = thing.shape.points
        (left, top), *_ = points
        colour = "#{:02x}{:02x}{:02x}".format(*colour_of(thing.desc))
        drawn = " ".join(f"{x:g},{y:g}" for x, y in points)
        closed = not isinstance(thing.shape, Line)
        things.append(DrawnObject(drawn, closed, colour, left / 10, top / 10, thing.desc))
    return things


def _thumbnail(path: Location) -> tuple[str, str]:
    try:
        image = photos.preview(path, THUMBNAIL_SIDE)
    except PhotoError as error:
        return "", f"{error.code}: {error}"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), ""
