"""Dense captions: photos in, grouped JSON out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shenhe.config import Template
from shenhe.formats.caption import Coordinates, frames_of
from shenhe.formats.caption_recovery import Recovery, recover
from shenhe.records import Answer, Request
from shenhe.stages.photo_prompt import photo_messages

MAX_NEW_TOKENS = 2048


def request(
    key: str, photos: Sequence[Path], template: Template, max_new_tokens: int = MAX_NEW_TOKENS
) -> Request:
    """Ask for the objects of the photos; several photos make 图片_1, 图片_2, ..."""
    messages = photo_messages(template.system, template.fill(), photos)
    return Request(key, messages, max_new_tokens)


def read(answer: Answer, coordinates: Coordinates = "norm1000") -> Recovery:
    """Read the answer, and list what had to be done for it.

    Raises: FormatError; an answer that cannot be read is never an empty caption.
    """
    frames = frames_of(coordinates, [size.resized_wh for size in answer.sizes])
    found = recover(answer.text, len(answer.sizes), frames)
    if answer.finish_reason == "length" and not found.truncated:
        note = f"truncated: the limit of {answer.new_tokens} tokens was reached"
        return Recovery(found.caption, (*found.repairs, note), True)
    return found
