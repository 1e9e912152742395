"""`shenhe check`: validates texts row by row."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

from shenhe.cli.caption import Coordinates, coordinates_option
from shenhe.cli.loading import formats_option
from shenhe.errors import FormatError, UsageError, spelled
from shenhe.options import Name, argument, option_class
from shenhe.printable import json_line

if TYPE_CHECKING:
    from shenhe.formats.text_formats import CaptionFormat, SummaryFormat, VerdictFormat

MAX_PHOTOS = 1000


class Checked(NamedTuple):
    """The value of a text, as JSON has it, and the repairs that it took.

    `further` keys are those that a format alone has.
    """

    value: object
    repairs: Sequence[object] = ()
    further: Mapping[str, object] = MappingProxyType({})


@option_class
class CheckOptions:
    """Options of a check of texts."""

    kind: Literal["caption", "summary", "verdict"] = argument(None, "the format")
    file: Name = argument("FILE.jsonl", 'rows of {"raw": "..."}; - for stdin')
    coordinates: Coordinates = coordinates_option()
    formats: Name = formats_option("plain")


def check(options: CheckOptions) -> int:
    """Validate texts; exit 1 if any is not ok.

    Raises: UsageError for coordinates that texts alone cannot be checked in.
    """
    from shenhe.config import load_formats

    formats = load_formats(options.formats)
    if options.coordinates == "pixel":
        pixel = spelled("coordinates", "pixel")
        raise UsageError(f"check knows no photo, so no {pixel}: see shenhe caption")
    checks: dict[str, Callable[[str], Checked]] = {
        "caption": lambda text: _check_caption(text, options.coordinates, formats.caption),
        "summary": lambda text: _check_summary(text, formats.summary),
        "verdict": lambda text: _check_verdict(text, formats.verdict),
    }
    with ExitStack() as stack:
        if options.file == "-":
            lines: TextIO = sys.stdin
        else:
            try:
                lines = stack.enter_context(open(options.file, encoding="utf-8"))
            except OSError as error:
                raise UsageError(f"{options.file}: cannot be read: {error.strerror}") from error
        try:
            return _check_lines(lines, options.file, checks[options.kind])
        except UnicodeDecodeError as error:
            raise UsageError(f"{options.file}: not UTF-8 text: {error}") from error


def _check_caption(text: str, coordinates: Coordinates, form: CaptionFormat) -> Checked:
    from shenhe.formats.caption import to_grouped
    from shenhe.formats.caption_fields import frames_of
    from shenhe.formats.caption_recovery import recover
    from shenhe.geometry import Size

    recovered = recover(text, None, frames_of(coordinates, [Size(0, 0)] * MAX_PHOTOS), form)
    return Checked(to_grouped(recovered.caption), recovered.repairs)


def _check_summary(text: str, form: SummaryFormat) -> Checked:
    from shenhe.formats import summary

    line = summary.parse(text, form)
    header = summary.header_of(text, form)
    return Checked(line, further={"header": header} if form.header else {})


def _check_verdict(text: str, form: VerdictFormat) -> Checked:
    from shenhe.formats import verdict

    value = verdict.parse(text, form)
    return Checked({"verdict": value.verdict, "reason": value.reason})


def _check_lines(lines: Iterable[str], name: str, parse: Callable[[str], Checked]) -> int:
    code = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            raw = row["raw"]
            if not isinstance(raw, str):
                raise TypeError("raw is no string")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f'{name}: line {number} is not {{"raw": "..."}}: {error}') from error
        result: dict[str, object] = {"ok": True, "value": None, "repairs": [], "error": None}
        try:
            checked = parse(raw)
            repairs = [str(repair) for repair in checked.repairs]
            result |= {"value": checked.value, "repairs": repairs, **checked.further}
        except FormatError as error:
            code = 1
            result |= {"ok": False, "error": {"code": error.code, "message": str(error)}}
        print(json_line(result))
    return code
