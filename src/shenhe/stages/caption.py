"""Dense captions: photos in, grouped JSON out."""

from __future__ import annotations

from collections.abc import Sequence

from shenhe.config import Template, Vocabulary
from shenhe.errors import FormatError
from shenhe.formats import grammars
from shenhe.formats.caption import Coordinates, frames_of
from shenhe.formats.caption_recovery import Recovery, recover
from shenhe.locations import Location
from shenhe.messages import Answer, Request
from shenhe.stages.photo_prompt import photo_messages

MAX_NEW_TOKENS = 2048
CUT: dict[str, str] = {
    "length": "the limit of {} tokens was reached",
    "loop": "stopped after {} tokens: one object was written over and over",
}


def request(
    key: str,
    photos: Sequence[Location],
    template: Template,
    max_new_tokens: int = MAX_NEW_TOKENS,
    coordinates: Coordinates = "norm1000",
    vocabulary: Vocabulary | None = None,
) -> Request:
    """Ask for the objects of the photos; several photos make 图片_1, 图片_2, ...

    With a vocabulary an engine that holds answers to their format holds descs to it.
    """
    messages = photo_messages(template.system, template.fill(), photos)
    descs = vocabulary.patterns if vocabulary is not None else ()
    grammar = grammars.of_caption(len(photos), coordinates, descs)
    return Request(key, messages, max_new_tokens, grammar=grammar)


def read(answer: Answer, coordinates: Coordinates = "norm1000") -> Recovery:
    """Read the answer, and list what had to be done for it.

    Raises: FormatError; an answer that cannot be read, or was cut before anything was whole, is
    never an empty caption.
    """
    frames = frames_of(coordinates, [size.resized_wh for size in answer.sizes])
    found = recover(answer.text, len(answer.sizes), frames)
    if answer.finish_reason == "stop" or found.truncated:
        return found
    why = CUT[answer.finish_reason].format(answer.new_tokens)
    if not any(found.caption.photos):
        raise FormatError(answer.finish_reason, f"{why}, and no object was whole")
    return Recovery(found.caption, (*found.repairs, f"truncated: {why}"), True)
