"""`shenhe convert`: captions in the formats of labelling tools, and labels back from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shenhe.cli.loading import formats_option
from shenhe.cli.results import print_faults, print_lost
from shenhe.options import Name, argument, option, option_class
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.exports import Conversation
    from shenhe.formats.text_formats import TextFormats

ExportFormat = Literal[
    "coco", "yolo-obb", "labelme", "x-anylabeling", "label-studio", "training", "messages"
]
Source = Literal["auto", "rows", "label-studio", "x-anylabeling", "labelme", "coco", "cvat"]
PHOTOS_HELP = "look for photos below it first, by their names; else beside the file that names them"


@option_class
class ConvertOptions:
    """Options of a conversion."""

    source: Path = argument(
        "PATH",
        "rows of `caption`, training rows or conversations (JSONL); or what a labelling tool wrote,"
        " a file or a folder",
    )
    format: ExportFormat = option(
        "training: rows in pixels; messages: conversations for ms-swift and LLaMA-Factory"
    )
    output: Path = option(
        "a folder with the photos; coco, training and messages: or a file, named .json or .jsonl,"
        " that names photos where they are",
        metavar="PATH",
    )
    source_tool: Source = option(
        "the tool that wrote the source; auto: its content tells", default="auto", flag="--from"
    )
    photos: Path | None = option(PHOTOS_HELP, default=None, metavar="DIR")
    labels: Literal["category", "desc"] = option(
        "what becomes the label of a thing", default="category"
    )
    copy_photos: bool = option(
        "copies of the photos, where hard links would take no space", default=False
    )
    overwrite: bool = option("replace the output if it exists", default=False)
    prompts: Path | None = option(
        "messages: ask by your own prompts (TOML)", default=None, metavar="FILE"
    )
    formats: Name = formats_option("plain", "; of conversations, read and written")


def convert(options: ConvertOptions) -> int:
    """Write captions in another tool's format, and print what that cannot hold."""
    from shenhe.config import load_formats
    from shenhe.exports import write_export
    from shenhe.exports.labels import LABELS
    from shenhe.imports import Reading
    from shenhe.intake import read_annotations

    reading, formats = Reading(), load_formats(options.formats)
    annotations = read_annotations(
        options.source,
        reading,
        tool=options.source_tool,
        photos_folder=options.photos,
        form=formats.caption,
    )
    losses = write_export(
        options.format,
        annotations,
        options.output,
        LABELS[options.labels],
        overwrite=options.overwrite,
        copy_photos=options.copy_photos,
        conversation=_conversation(options, formats),
    )
    show(f"{options.format}: {options.output}")
    print_lost("of the source", reading.lost)
    print_lost("not held", losses)
    return print_faults(reading.faults)


def _conversation(options: ConvertOptions, formats: TextFormats) -> Conversation:
    """Ask about a photo as `caption` does."""
    from shenhe.config import load_prompts
    from shenhe.exports import Exchange
    from shenhe.exports.messages import caption_text
    from shenhe.stages import caption
    from shenhe.values import Annotation

    template, form = load_prompts(options.prompts, formats).caption, formats.caption

    def conversation(annotation: Annotation) -> Exchange:
        request = caption.request("", [annotation.image], template, form=form)
        return Exchange(request.messages, caption_text(annotation, form))

    return conversation
