"""`shenhe caption`: dense captions in bulk, and their overlays."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

from shenhe.cli.composing import decisive, make_engine, run_options, tell
from shenhe.config import load_prompts
from shenhe.errors import PhotoError
from shenhe.exports import write_export
from shenhe.exports.labels import LABELS
from shenhe.formats.caption import from_grouped
from shenhe.intake import photo_lists, read_annotations
from shenhe.overlays import overlay_path, write_overlay
from shenhe.runs import plan_captions, run_captions
from shenhe.runs.captions import read_captions
from shenhe.runs.output import failures_file


def caption(options: argparse.Namespace) -> int:
    """Caption photos, folders and lists."""
    template = load_prompts(options.prompts).caption
    passed_over: Counter[str] = Counter()
    lists = list(photo_lists(options.sources, passed_over))
    run = run_options(options)
    if options.dry_run:
        plan = plan_captions(lists, options.output, run)
        print(f"captions: would do {plan.groups} ({plan.items} photos); {plan.already} are done")
        return 0
    counts = run_captions(
        make_engine(options),
        lists,
        template,
        options.output,
        options=decisive(options),
        run=run,
        coordinates=options.coordinates,
        max_new_tokens=options.max_new_tokens,
    )
    counts.passed_over.update(passed_over)
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
    print(f"{options.format}: {options.output}")
    for loss, count in sorted(losses.items()):
        if count:
            print(f"  not held: {count} {loss}", file=sys.stderr)
    return 0


def _draw(rows: Path, folder: Path) -> int:
    """Draw the rows that have no overlay yet, or one that is older than they are."""
    drawn = failed = 0
    for row in read_captions(rows):
        value = from_grouped(row.caption)
        written = datetime.fromisoformat(row.timestamp).timestamp()
        for image, objects in zip(row.images, value.photos, strict=True):
            path = overlay_path(folder, Path(image), row.key)
            if path.exists() and path.stat().st_mtime >= written:
                continue
            try:
                write_overlay(Path(image), objects, path)
            except PhotoError as error:
                failed += 1
                print(f"  not drawn: {error}", file=sys.stderr)
            else:
                drawn += 1
    print(f"overlays: {drawn} drawn in {folder}", file=sys.stderr)
    return 1 if failed else 0
