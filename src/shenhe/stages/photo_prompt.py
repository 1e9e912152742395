"""Messages about photos, in the same layout for captions and summaries."""

from __future__ import annotations

from collections.abc import Sequence

from shenhe.locations import Location
from shenhe.messages import ImagePart, Message
from shenhe.values import photo_key


def photo_messages(system: str, user: str, photos: Sequence[Location]) -> tuple[Message, ...]:
    """Build `图片_1: <photo>` ... and the question; an empty system text sends no system turn.

    >>> from pathlib import Path
    >>> [message.role for message in photo_messages("", "标注", [Path("1.jpg")])]
    ['user']
    """
    parts: list[str | ImagePart] = []
    for index, path in enumerate(photos):
        parts += [f"{photo_key(index)}: ", ImagePart(path)]
    question = Message("user", (*parts, "\n" + user))
    return (Message("system", (system,)), question) if system else (question,)
