"""`shenhe verify`: a checkpoint's files, and whether it is the model it was merged from."""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from shenhe.cli.composing import MARKS, adapters_of, photos_to_ask_about, quiet_transformers
from shenhe.errors import UsageError
from shenhe.locations import Location
from shenhe.printable import on_one_line, show

PHOTOS = 6


def verify(options: argparse.Namespace) -> int:
    """Look at files, then load, then compare."""
    quiet_transformers()
    from shenhe.checkpoints.check import check_adapters, check_files

    adapters = adapters_of(options)
    if adapters and not options.against:
        raise UsageError("--adapters: name their base too, by --against")
    bad = False
    findings = check_files(options.checkpoint, options.against)
    if adapters:
        findings = chain(findings, check_adapters(options.against, adapters))
    for finding in findings:
        bad |= finding.level == "error"
        remedy = f": {finding.remedy}" if finding.remedy else ""
        show(on_one_line(f"{MARKS[finding.level]} {finding.message}{remedy}"))
    if bad:
        return 1
    photos = photos_to_ask_about(options.photos, PHOTOS)
    return _compare(options, adapters, photos) if options.against else _generate(options, photos)


def _generate(options: argparse.Namespace, photos: list[Location]) -> int:
    from shenhe.api import load

    model = load(options.checkpoint, dtype=options.dtype)
    content = [{"image": photos[0]}, {"text": "描述这张图片"}]
    reply = model.chat([{"role": "user", "content": content}], max_new_tokens=16)
    show(f"{MARKS['ok']} loads, and writes {reply.new_tokens} tokens about {photos[0].name}")
    return 0


def _compare(options: argparse.Namespace, adapters: tuple[str, ...], photos: list[Location]) -> int:
    from shenhe.verification import compare_models

    show("comparing ...", file=sys.stderr)
    comparison = compare_models(
        options.checkpoint, options.against, adapters, photos, options.dtype
    )
    same = comparison.prompts - len(comparison.different_answers)
    show(
        f"{MARKS['ok' if comparison.matches else 'error']} next-token logits differ by at most"
        f" {comparison.max_difference:.4g}; rounding explains {comparison.tolerance:.4g}"
    )
    level = (
        "ok" if not comparison.different_answers else "warning" if comparison.matches else "error"
    )
    show(f"{MARKS[level]} {same} of {comparison.prompts} greedy answers are the same")
    for told in comparison.different_answers[:5]:
        show(f"        {told}")
    return 0 if comparison.matches else 1
