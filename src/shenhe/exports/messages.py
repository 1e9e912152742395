"""Conversations in the form of ms-swift and LLaMA-Factory, to train captions from.

A folder holds train.jsonl, images/ and dataset_info.json, which LLaMA-Factory reads; a single file
names photos relative to its own folder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from shenhe.errors import FormatError
from shenhe.exports.rows_file import ROWS, RowsFile
from shenhe.exports.settings import Exchange, ExportSettings, is_file
from shenhe.formats import caption
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import clip
from shenhe.messages import ImagePart, Message
from shenhe.values import Annotation, Caption

DATASET_INFO: Final = {
    "shenhe": {
        "file_name": ROWS,
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}
"""How LLaMA-Factory is told of the rows."""


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder, or the file: one conversation a photo, whatever the labels."""
    conversation = settings.conversation or _without_prompt
    with RowsFile(output, settings, losses) as file:
        for annotation in annotations:
            try:
                question, answer = conversation(annotation)
            except FormatError as error:
                losses[f"photos whose caption breaks its format ({error.code}): left out"] += 1
                continue
            name = file.photo_name(annotation.image)
            file.write(conversation_row(question, answer, [name]))
    if not is_file(output):
        text = json.dumps(DATASET_INFO, ensure_ascii=False, indent=2) + "\n"
        (output / "dataset_info.json").write_text(text, encoding="utf-8")


def caption_text(annotation: Annotation, form: CaptionFormat = PLAIN.caption) -> str:
    """Write what is known of a photo as a caption in a format, clipped to the photo's edges.

    Units: whole numbers, 0-1000.
    Raises: FormatError where whole numbers leave an invalid shape, or one not of the format.
    """
    objects = (replace(item, shape=clip(item.shape)) for item in annotation.objects)
    text = caption.render(Caption((tuple(objects),)), form)
    caption.parse(text, form=form)
    return text


def _without_prompt(annotation: Annotation) -> Exchange:
    question = Message("user", (ImagePart(annotation.image),))
    return Exchange([question], caption_text(annotation))


def conversation_row(question: Sequence[Message], answer: str, images: Sequence[str]) -> str:
    """Write a conversation as JSON, without its newline; each photo is `<image>` in its turn.

    >>> conversation_row([Message("user", ("标注",))], "{}", [])
    '{"messages": [{"role": "user", "content": "标注"}, {"role": "assistant", "content": "{}"}]}'
    """
    turns = [
        {
            "role": message.role,
            "content": "".join(
                "<image>" if isinstance(part, ImagePart) else part for part in message.parts
            ),
        }
        for message in question
    ]
    turns.append({"role": "assistant", "content": answer})
    row: dict[str, object] = {"messages": turns}
    if images:
        row["images"] = list(images)
    return json.dumps(row, ensure_ascii=False)
