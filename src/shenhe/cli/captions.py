"""`shenhe caption`: dense captions in bulk, and their overlays."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shenhe.cli.composing import decisive, make_engine, run_options, tell
from shenhe.config import load_prompts, load_vocabulary
from shenhe.exports import write_export
from shenhe.exports.labels import LABELS
from shenhe.intake import PhotoLists, read_annotations
from shenhe.printable import show
from shenhe.rows.keys import failures_file
from shenhe.runs import plan_captions, run_captions
from shenhe.runs.captions import draw_captions


def caption(options: argparse.Namespace) -> int:
    """Caption photos, folders and lists."""
    template = load_prompts(options.prompts).caption
    vocabulary = None
    if options.vocabulary is not None:
        vocabulary = load_vocabulary(None if options.vocabulary is True else options.vocabulary)
    lists = PhotoLists(options.sources)
    run = run_options(options)
    if options.dry_run:
        plan = plan_captions(lists, options.output, run)
        show(f"captions: would do {plan.groups} ({plan.items} photos); {plan.already} are done")
        return 0
    counts = run_captions(
        make_engine(options),
        lists,
        template,
        options.output,
        options=decisive(options),
        run=run,
        coordinates=options.coordinates,
        vocabulary=vocabulary,
        max_new_tokens=options.max_new_tokens,
        passed_over=lists.passed_over,
        faults=lists.faults,
    )
    code = tell("captions", "captions", counts, failures_file(options.output))
    if options.draw is not None:
        code = max(code, _draw(options.output, options.draw))
    return code


def convert(options: argparse.Namespace) -> int:
    """Write captions in another tool's format; what that cannot hold is said."""
    losses = write_export(
        options.format,
        read_annotations(options.captions),
        options.output,
        LABELS[options.labels],
        overwrite=options.overwrite,
    )
    show(f"{options.format}: {options.output}")
    for loss, count in sorted(losses.items()):
        if count:
            show(f"  not held: {count} {loss}", file=sys.stderr)
    return 0


def _draw(rows: Path, folder: Path) -> int:
    drawn, failures = draw_captions(rows, folder)
    for failure in failures:
        show(f"  not drawn: {failure}", file=sys.stderr)
    show(f"overlays: {drawn} drawn in {folder}", file=sys.stderr)
    return 1 if failures else 0
