"""`shenhe verify`: a checkpoint's files, and whether it is the model it was merged from."""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING

from shenhe.cli.loading import dtype_option, quiet_transformers
from shenhe.cli.probes import choose_photos
from shenhe.cli.results import print_finding
from shenhe.cli.values import PhotoLocation
from shenhe.engines.options import Dtype
from shenhe.errors import OptionError, needs, spelled
from shenhe.options import Name, argument, option, option_class
from shenhe.printable import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shenhe.locations import Location

PHOTOS = 6
SHOWN_DIFFERENCES = 5


@option_class
class VerifyOptions:
    """Options of a check of a checkpoint."""

    checkpoint: Name = argument("CHECKPOINT", "a base or merged checkpoint")
    against: Name | None = option("the base it was merged from", default=None, metavar="BASE")
    adapters: tuple[Name, ...] = option(
        "the adapters that were merged into it, in order", default=(), metavar="A"
    )
    photos: tuple[PhotoLocation, ...] = option(
        "compare on these; default: some of the bundled ones",
        default=(),
        metavar="PATH",
        gathering="last",
    )
    dtype: Dtype = dtype_option()


def verify(options: VerifyOptions) -> int:
    """Check the files, then load the checkpoint, then compare it with the model it came from.

    Raises: OptionError for adapters without the base that they were trained on.
    """
    quiet_transformers()
    from shenhe.checkpoints.check import check_adapters, check_files

    base = options.against
    if options.adapters and not base:
        problem = f"name their base too, by {spelled('against')}"
        raise OptionError("adapters", None, problem)
    is_bad = False
    findings = check_files(options.checkpoint, base)
    if options.adapters and base:
        findings = chain(findings, check_adapters(base, options.adapters))
    for finding in findings:
        is_bad |= finding.level == "error"
        print_finding(finding.level, finding.message, finding.remedy)
    if is_bad:
        return 1
    photos = choose_photos(options.photos, PHOTOS)
    return _compare(options, base, photos) if base else _generate(options, photos)


def _generate(options: VerifyOptions, photos: Sequence[Location]) -> int:
    from shenhe.api import load

    model = load(options.checkpoint, dtype=options.dtype)
    content = [{"image": photos[0]}, {"text": "描述这张图片"}]
    reply = model.chat([{"role": "user", "content": content}], max_new_tokens=16)
    print_finding("ok", f"loads, and writes {reply.new_tokens} tokens about {photos[0].name}")
    return 0


def _compare(options: VerifyOptions, base: str, photos: Sequence[Location]) -> int:
    with needs("local"):
        from shenhe.verification import compare_models
    show("comparing ...", file=sys.stderr)
    comparison = compare_models(options.checkpoint, base, options.adapters, photos, options.dtype)
    same_count = comparison.prompts - len(comparison.different_answers)
    print_finding(
        "ok" if comparison.matches else "error",
        f"next-token logits differ by at most {comparison.max_difference:.4g};"
        f" rounding explains {comparison.tolerance:.4g}",
    )
    level = (
        "ok" if not comparison.different_answers else "warning" if comparison.matches else "error"
    )
    print_finding(level, f"{same_count} of {comparison.prompts} greedy answers are the same")
    for difference in comparison.different_answers[:SHOWN_DIFFERENCES]:
        show(f"        {difference}")
    return 0 if comparison.matches else 1
