"""Dense captions: photos in, grouped JSON out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shenhe.config import Template
from shenhe.formats import caption
from shenhe.records import Answer, Caption, Request
from shenhe.stages.photo_prompt import photo_messages

MAX_NEW_TOKENS = 2048


def request(
    key: str, photos: Sequence[Path], template: Template, max_new_tokens: int = MAX_NEW_TOKENS
) -> Request:
    """Ask for the objects of the photos; several photos make 图片_1, 图片_2, ..."""
    messages = photo_messages(template.system, template.fill(), photos)
    return Request(key, messages, max_new_tokens)


def read(answer: Answer, photo_count: int) -> Caption:
    """Read the answer.

    Raises: FormatError; an answer that cannot be read is never an empty caption.
    """
    return caption.parse(answer.text, photo_count)
