"""Writing the page: everything inline, everything that a model or a file name says escaped."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from shenhe import photos
from shenhe.errors import PhotoError, RunError
from shenhe.formats.verdict import photos_named
from shenhe.locations import Location, locate
from shenhe.records import FAIL, PASS, SummaryRow, VerdictRow, utc_now
from shenhe.report.tally import EXPECTED, UNDECIDED, RunReading, read_run

THUMBNAIL_SIDE = 360
JPEG_QUALITY = 72
NAMES = {PASS: "通过", FAIL: "不通过", UNDECIDED: "未决 undecided"}
CLASSES = {PASS: "pass", FAIL: "fail", UNDECIDED: "undecided"}


@dataclass(frozen=True, slots=True)
class PhotoView:
    """One photo of a group; `thumbnail` is a data URL, or empty with the reason in `problem`."""

    key: str
    name: str
    line: str
    thumbnail: str
    problem: str
    named_in_reason: bool


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group of the page."""

    row: VerdictRow
    verdict: str
    agrees: bool | None
    photos: list[PhotoView]


def write_report(run_dir: Path, max_groups: int = 500) -> Path:
    """Write RUN_DIR/report/index.html and return its path.

    Raises: RunError if the folder holds no verdicts or cannot be written.
    """
    reading = read_run(run_dir, max_groups)
    path = run_dir / "report" / "index.html"
    environment = Environment(
        loader=PackageLoader("shenhe.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (files("shenhe.report") / "templates" / "filter.js").read_text(encoding="utf-8")
    page = environment.get_template("report.html").stream(
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        run_name=run_dir.resolve().name,
        made=utc_now(),
        reading=reading,
        verdicts=tuple(NAMES),
        names=NAMES,
        classes=CLASSES,
        labels=EXPECTED,
        groups=_groups(reading),
    )
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        page.dump(str(fresh), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _groups(reading: RunReading) -> list[GroupView]:
    return [_view(row, summary) for row, summary in reading.shown]


def _view(row: VerdictRow, summary: SummaryRow | None) -> GroupView:
    views = []
    if summary is not None:
        for (key, line), image in zip(summary.per_image.items(), summary.images, strict=False):
            thumbnail, problem = _thumbnail(locate(image))
            named = key in photos_named(row.reason)
            views.append(PhotoView(key, locate(image).name, line, thumbnail, problem, named))
    agrees = EXPECTED[row.label] == row.verdict if row.label and row.verdict else None
    return GroupView(row, row.verdict or UNDECIDED, agrees, views)


def _thumbnail(path: Location) -> tuple[str, str]:
    try:
        image = photos.preview(path, THUMBNAIL_SIDE)
    except PhotoError as error:
        return "", f"{error.code}: {error}"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), ""
