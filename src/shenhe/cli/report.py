"""`shenhe report`: the page of a run, and sheets of it to be signed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.errors import OptionError
from shenhe.languages import page_language
from shenhe.options import Count, argument, option, option_class, section
from shenhe.printable import show, show_data

if TYPE_CHECKING:
    from shenhe.report.choice import SheetChoice


@option_class
class ReportOptions:
    """Options of a report."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    format: Literal["html", "xlsx", "docx", "pdf"] = option(
        "html: a page to look at; docx, pdf: an acceptance sheet (验收单) to sign; xlsx: all"
        " groups, totals with formulas, false passes",
        default="html",
    )
    output: Path | None = option(
        "where it goes; default: RUN_DIR/report/index.html, or acceptance.FORMAT there",
        default=None,
        metavar="FILE",
    )
    mission: tuple[str, ...] = option(
        "only groups of a mission; several times for several",
        default=(),
        metavar="NAME",
        gathering="each",
    )
    group: tuple[str, ...] = option(
        "only a work order, as id, id::label or mission::id; several times for several",
        default=(),
        metavar="ID",
        gathering="each",
    )
    fields: tuple[str, ...] = option(
        "only groups with a value in a field that another tool gave their rows, as 区域=东; several"
        " fields must all hold, several values of one field are alternatives",
        default=(),
        metavar="FIELD=VALUE",
        flag="--where",
        gathering="each",
    )
    promise: Path | None = option(
        "the promise by which the groups were decided, to state its bound; default:"
        " RUN_DIR/promise.json, if that is it",
        default=None,
        metavar="FILE",
    )
    max_groups: Count = option(
        "show at most so many groups with their photos, undecided ones and disagreements first; a"
        " workbook has all",
        default=500,
        metavar="N",
    )
    team: DatabaseOptions = section(default=DatabaseOptions())


def report(options: ReportOptions) -> int:
    """Write the page or the sheet, and print its path.

    Raises: OptionError for a condition that is none; RunError as the writers say.
    """
    choice = choice_of(options)
    follow_decisions([options.run_dir], options.team)
    language = page_language()
    path = options.output or _default_path(options, choice)
    if options.format == "html":
        from shenhe.report import write_report

        run_dir, count, promise = options.run_dir, options.max_groups, options.promise
        show_data(write_report(run_dir, count, language, choice, path, promise=promise))
        return 0
    from shenhe.report.sheet.write import SheetRequest, write_sheet

    counts = write_sheet(
        SheetRequest(
            options.run_dir,
            options.format,
            language,
            choice,
            options.promise,
            options.max_groups,
        ),
        path,
    )
    if counts.shown < counts.groups:
        show(
            f"shenhe: {counts.shown} of {counts.groups} groups are shown, which the sheet says;"
            " --max-groups shows more, --format xlsx all",
            file=sys.stderr,
        )
    show_data(path)
    return 0


def choice_of(options: ReportOptions) -> SheetChoice:
    """Make the choice of groups.

    Raises: OptionError for a condition without `=`.
    """
    from shenhe.report.choice import SheetChoice

    pairs = []
    for condition in options.fields:
        name, sign, value = condition.partition("=")
        if not sign or not name.strip():
            raise OptionError("where", condition, "write FIELD=VALUE, as 区域=东")
        pairs.append((name.strip(), value))
    return SheetChoice(options.mission, options.group, tuple(pairs))


def _default_path(options: ReportOptions, choice: SheetChoice) -> Path:
    """Name the file: the page of a whole run is its own, whatever else was written."""
    is_page = options.format == "html" and choice.is_whole
    name = "index.html" if is_page else f"acceptance.{options.format}"
    return options.run_dir / "report" / name
