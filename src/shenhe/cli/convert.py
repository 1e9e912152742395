"""`shenhe convert`: captions in the formats of labelling tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from shenhe.options import argument, option, option_class
from shenhe.printable import show

ExportFormat = Literal["coco", "yolo-obb", "labelme", "x-anylabeling", "label-studio", "training"]


@option_class
class ConvertOptions:
    """Options of a conversion."""

    captions: Path = argument("CAPTIONS.jsonl", "rows of `caption`, or training rows")
    format: ExportFormat = option("training: the rows that such models are trained from")
    output: Path = option("a file for coco and training, else a folder", metavar="PATH")
    labels: Literal["category", "desc"] = option(
        "what becomes the label of a thing", default="category"
    )
    overwrite: bool = option("replace the output if it exists", default=False)


def convert(options: ConvertOptions) -> int:
    """Write captions in another tool's format, and print what that cannot hold."""
    from shenhe.exports import write_export
    from shenhe.exports.labels import LABELS
    from shenhe.intake import read_annotations

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
