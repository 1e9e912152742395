"""`shenhe caption`: dense captions in bulk, and their overlays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shenhe.cli.loading import LoadOptions, decisive_options, make_engine, max_new_tokens
from shenhe.cli.results import print_counts, print_problems
from shenhe.cli.values import PhotoLocation
from shenhe.cli.work import ROWS_HELP, PhotoWorkOptions, run_options
from shenhe.errors import OptionError
from shenhe.options import Count, argument, option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.config import Vocabulary

Coordinates = Literal["norm1000", "norm100", "pixel"]


def coordinates_option() -> Coordinates:
    """Declare the frame of a caption's coordinates."""
    return option(
        "what the model was trained to write; pixel: of the photo as it sees it",
        default="norm1000",
    )


@option_class
class CaptionOptions:
    """Options of dense captions."""

    sources: tuple[PhotoLocation, ...] = argument(
        "PHOTO|FOLDER|LIST.jsonl",
        'photos, folders of them, or lists: one {"images": [...]} a line, seen together',
    )
    load: LoadOptions = section("model")
    output: Path = option(ROWS_HELP, metavar="FILE.jsonl")
    draw: Path | None = option(
        "write each photo with its caption drawn there", default=None, metavar="DIR"
    )
    coordinates: Coordinates = coordinates_option()
    vocabulary: Path | Literal[True] | None = option(
        "hold descs to the built-in vocabulary, or to that of a file (TOML)",
        default=None,
        metavar="FILE",
        const=True,
    )
    max_new_tokens: Count = max_new_tokens(2048)
    work: PhotoWorkOptions = section("work", default=PhotoWorkOptions())


def caption(options: CaptionOptions) -> int:
    """Caption photos, folders and lists.

    Raises: OptionError for a folder of overlays that is a file.
    """
    from shenhe.config import load_formats, load_prompts
    from shenhe.intake import PhotoLists
    from shenhe.rows.keys import failures_file
    from shenhe.runs import plan_captions, run_captions

    formats = load_formats(options.load.config.formats)
    template = load_prompts(options.load.config.prompts, formats).caption
    vocabulary = _load_vocabulary(options.vocabulary)
    if options.draw is not None and options.draw.exists() and not options.draw.is_dir():
        raise OptionError("draw", options.draw, "is no folder")
    lists = PhotoLists(options.sources)
    run = run_options(options.work)
    if options.work.dry_run:
        plan = plan_captions(lists, options.output, run)
        show(f"captions: would do {plan.groups} ({plan.items} photos); {plan.already} are done")
        return print_problems(lists.faults)
    counts = run_captions(
        make_engine(options.load),
        lists,
        template,
        options.output,
        engine_options=decisive_options(options.load),
        run=run,
        coordinates=options.coordinates,
        vocabulary=vocabulary,
        max_new_tokens=options.max_new_tokens,
        passed_over=lists.passed_over,
        faults=lists.faults,
        formats=formats,
    )
    code = print_counts("captions", "captions", counts, failures_file(options.output))
    if options.draw is not None:
        code = max(code, _draw(options.output, options.draw))
    return code


def _load_vocabulary(chosen: Path | Literal[True] | None) -> Vocabulary | None:
    from shenhe.config import load_vocabulary

    if chosen is None:
        return None
    return load_vocabulary(None if chosen is True else chosen)


def _draw(rows: Path, folder: Path) -> int:
    from shenhe.runs.captions import draw_captions

    drawn, failures = draw_captions(rows, folder)
    for failure in failures:
        show(f"  not drawn: {failure}", file=sys.stderr)
    show(f"overlays: {drawn} drawn in {folder}", file=sys.stderr)
    return 1 if failures else 0
