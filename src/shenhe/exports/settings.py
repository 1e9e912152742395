"""What an export is told beside the annotations: labels, photos, conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.exports.labels import Labels
from shenhe.formats.desc import category
from shenhe.messages import Message
from shenhe.values import Annotation


class Exchange(NamedTuple):
    """The question about a photo, as a model is asked it, and the right answer.

    Example:
        Exchange([Message("user", (ImagePart(photo), "标注"))], '{"图片_1": {}}')

    """

    question: Sequence[Message]
    answer: str


Conversation = Callable[[Annotation], Exchange]
"""From what is known of a photo to what a model learns; it may raise FormatError."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What becomes the label of an object, how photos come along, and what a model learns.

    Photos are hard links where the disk allows that, or `copy_photos` makes copies of all.
    `conversation` is needed by the format messages alone.
    """

    labels: Labels = category
    copy_photos: bool = False
    conversation: Conversation | None = None


FILE_SUFFIXES: Final = (".json", ".jsonl")
NEW: Final = ".new"
"""The suffix of an export that is being written."""


def is_file(output: Path) -> bool:
    """Whether an export that can be a file or a folder is to be a file, by its name.

    >>> is_file(Path("coco.json")), is_file(Path("coco")), is_file(Path("coco.json.new"))
    (True, False, True)
    """
    name = output.name.removesuffix(NEW)
    return name.endswith(FILE_SUFFIXES)
