"""Dense captions: photos in, grouped JSON out."""

from __future__ import annotations

from collections.abc import Sequence

from shenhe.config import Template, Vocabulary
from shenhe.errors import FormatError
from shenhe.formats.caption_fields import Coordinates, frames_of
from shenhe.formats.caption_grammar import of_caption
from shenhe.formats.caption_recovery import Recovery, recover
from shenhe.formats.repairs import Repair
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.locations import Location
from shenhe.messages import Answer, Request
from shenhe.stages.photo_prompt import photo_messages

MAX_NEW_TOKENS = 2048
TRUNCATIONS: dict[str, str] = {
    "length": "the limit of {} tokens was reached",
    "loop": "stopped after {} tokens: one object was written over and over",
}
"""Why an answer ended early, by its finish reason; filled with its count of tokens."""


def request(
    key: str,
    photos: Sequence[Location],
    template: Template,
    max_new_tokens: int = MAX_NEW_TOKENS,
    coordinates: Coordinates = "norm1000",
    vocabulary: Vocabulary | None = None,
    form: CaptionFormat = PLAIN.caption,
) -> Request:
    """Ask for the objects of the photos, which are 图片_1, 图片_2, ...

    An engine that constrains answers holds descs to the vocabulary, if there is one.
    Raises: FormatError with code photo_count for several photos in a format without their keys.
    """
    if not form.photo_keys and len(photos) != 1:
        raise FormatError(
            "photo_count",
            f"{len(photos)} photos are listed together, but captions of this format name no photo:"
            " list each on a line of its own",
        )
    messages = photo_messages(template.system, template.fill(), photos)
    descs = vocabulary.patterns if vocabulary is not None else ()
    grammar = of_caption(len(photos), coordinates, descs, form)
    return Request(key, messages, max_new_tokens, grammar=grammar)


def read(
    answer: Answer, coordinates: Coordinates = "norm1000", form: CaptionFormat = PLAIN.caption
) -> Recovery:
    """Read the answer, and list the repairs that it needed.

    Raises: FormatError; an answer that cannot be read, or was truncated before its first whole
    object, is never an empty caption.
    """
    frames = frames_of(coordinates, [size.resized_wh for size in answer.sizes])
    recovery = recover(answer.text, len(answer.sizes), frames, form)
    if answer.finish_reason == "stop" or recovery.truncated:
        return recovery
    cause = TRUNCATIONS[answer.finish_reason].format(answer.new_tokens)
    if not any(recovery.caption.photos):
        raise FormatError(answer.finish_reason, f"{cause}, and no object was whole")
    return Recovery(recovery.caption, (*recovery.repairs, Repair("truncated", cause)), True)
