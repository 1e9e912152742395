"""One row of a dataset in the forms of ms-swift -> the conversation that it asks about its photos.

Read are `messages` (or `conversations`, also as `from` and `value`, also with content in parts) and
`query` with `history`; the last answer, or `response`, is the label. A row of photos alone is a
training row of objects: it asks for the dense caption.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, cast

from pydantic import JsonValue

from shenhe.errors import FormatError
from shenhe.intake.inline_photos import PhotoSource, photo_sources
from shenhe.locations import Location
from shenhe.messages import IMAGE_TAG, ImagePart, Message
from shenhe.row_types import refuse_depth

Role = Literal["system", "user", "assistant"]
ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
}
MESSAGES: Final = ("messages", "conversations", "conversation")
SYSTEM: Final = ("system", "system_prompt")
QUERY: Final = ("query", "prompt", "input", "instruction", "question", "problem")
RESPONSE: Final = (
    *("response", "answer", "output", "targets", "target", "answer_key", "answers", "solution"),
    *("text", "completion", "content"),
)
"""Names of one field, the first that has a value counts; ms-swift maps the same ones."""
IMAGES: Final = ("images", "image")
UNSUPPORTED: Final = ("videos", "video", "audios", "audio", "tools")
BAD_ROW: Final = "bad_row"


class Turn(NamedTuple):
    """One message: its text has an <image> tag where a photo stands."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What a row asks: its turns up to a question, and its photos, in the order of their tags.

    Without turns the dense caption of the photos is asked for. `label` is the answer that the row
    gives, `extra` are its other keys, `hash` is that of the whole row.
    """

    turns: tuple[Turn, ...]
    photos: tuple[PhotoSource, ...]
    label: JsonValue
    extra: Mapping[str, JsonValue]
    hash: str
    own_id: str = ""


def read_dialogue(row: Mapping[str, JsonValue]) -> Dialogue:
    """Read a row.

        read_dialogue({"query": "<image>这是什么?", "images": ["1.jpg"]}).turns

    Raises: FormatError that says what the row lacks, or what of it is not done here.
    """
    digest = _hash(row)
    for name in UNSUPPORTED:
        if row.get(name):
            raise FormatError("unsupported", f"{name}: only texts and photos are read")
    turns, photos, label = _turns(row)
    own_photos = photo_sources(_first(row, IMAGES))
    if photos and own_photos:
        raise FormatError(BAD_ROW, "photos stand in the messages and in images: nobody knows which")
    photos = photos or own_photos
    if turns and turns[-1].role != "user":
        raise FormatError(BAD_ROW, "the last message is no question of the user")
    if not turns and not photos:
        raise FormatError(BAD_ROW, "neither messages nor query nor images")
    if any("<bbox>" in turn.text or "<ref-object>" in turn.text for turn in turns):
        raise FormatError("unsupported", "<bbox> and <ref-object> in a question are not filled in")
    tags = sum(turn.text.count(IMAGE_TAG) for turn in turns)
    if tags > len(photos):
        raise FormatError(BAD_ROW, f"{tags} {IMAGE_TAG} tags, but {len(photos)} photos")
    used = {*MESSAGES, *SYSTEM, *IMAGES, *RESPONSE, *UNSUPPORTED, "history", "id"}
    used |= set() if _first(row, MESSAGES) is not None else set(QUERY)
    extra = {name: value for name, value in row.items() if name not in used}
    own_id = row.get("id")
    is_id = isinstance(own_id, str | int) and not isinstance(own_id, bool)
    return Dialogue(turns, photos, label, extra, digest, str(own_id).strip() if is_id else "")


def messages_of(turns: Sequence[Turn], photos: Sequence[Location]) -> tuple[Message, ...]:
    """Put each photo at its tag; photos without a tag come first, before the first question.

    >>> from pathlib import Path
    >>> messages_of([Turn("user", "看<image>图")], [Path("1.jpg")])[0].parts[0]
    '看'
    """
    waiting = iter(photos)
    spare = len(photos) - sum(turn.text.count(IMAGE_TAG) for turn in turns)
    messages: list[Message] = []
    for turn in turns:
        text = turn.text
        if turn.role != "system" and spare > 0:
            text, spare = IMAGE_TAG * spare + text, 0
        messages.append(Message(turn.role, tuple(_parts(text, waiting))))
    return tuple(messages)


def _parts(text: str, photos: Iterator[Location]) -> Iterator[str | ImagePart]:
    first, *pieces = text.split(IMAGE_TAG)
    if first or not pieces:
        yield first
    for piece in pieces:
        yield ImagePart(next(photos))
        if piece:
            yield piece


def _turns(
    row: Mapping[str, JsonValue],
) -> tuple[tuple[Turn, ...], tuple[PhotoSource, ...], JsonValue]:
    """Read the turns up to the last question, the photos inside them, and the label."""
    listed = _first(row, MESSAGES)
    label = _first(row, RESPONSE)
    label = label[0] if isinstance(label, list) and label else label
    system = _first(row, SYSTEM)
    if listed is None:
        return _turns_of_query(row, system), (), label
    turns, photos = _turns_of_messages(_parsed(listed), system)
    if turns[-1].role == "assistant":
        turns, label = turns[:-1], turns[-1].text
    return turns, photos, label


def _turns_of_query(row: Mapping[str, JsonValue], system: JsonValue) -> tuple[Turn, ...]:
    if "instruction" in row and "input" in row:
        question = "\n".join(str(row[name]) for name in ("instruction", "input") if row[name])
    else:
        value = _first(row, QUERY)
        if value is None:
            return ()
        question = _text(value, "query")
    turns = [Turn("system", _text(system, "system"))] if system is not None else []
    history = _parsed(row.get("history") or [])
    for pair in history:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise FormatError(BAD_ROW, "history is no list of [question, answer]")
        turns += [Turn("user", _text(pair[0], "history"))]
        turns += [Turn("assistant", _text(pair[1], "history"))] if pair[1] is not None else []
    return (*turns, Turn("user", question))


def _turns_of_messages(
    listed: Sequence[JsonValue], system: JsonValue
) -> tuple[tuple[Turn, ...], tuple[PhotoSource, ...]]:
    turns: list[Turn] = []
    photos: list[PhotoSource] = []
    for message in _in_roles(listed):
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
        if not isinstance(role, str) or role not in ROLES:
            raise FormatError("unsupported", f"a message of role {str(role)[:40]!r} is not read")
        turns.append(Turn(ROLES[role], _content(content, photos)))
    if not turns:
        raise FormatError(BAD_ROW, "messages is empty")
    if turns[0].role != "system" and system is not None:
        turns.insert(0, Turn("system", _text(system, "system")))
    return tuple(turns), tuple(photos)


def _in_roles(listed: Sequence[JsonValue]) -> Iterator[Mapping[str, JsonValue]]:
    """Yield messages with a role and a content, also of pairs like {"human": ..., "gpt": ...}."""
    for message in listed:
        if not isinstance(message, dict):
            raise FormatError(BAD_ROW, "a message is no JSON object")
        if message.keys() & {"role", "from", "content", "value"}:
            yield message
            continue
        roles = [name for name in ROLES if name in message]
        if not roles:
            raise FormatError(BAD_ROW, "a message has neither role nor content")
        yield from ({"role": name, "content": message[name]} for name in roles)


def _content(content: JsonValue, photos: list[PhotoSource]) -> str:
    """Give the text of a message, with a tag for each photo of its parts, which are collected."""
    if not isinstance(content, list):
        return _text(content, "content")
    texts: list[str] = []
    for part in content:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, dict):
            raise FormatError(BAD_ROW, "a part of a message is no JSON object")
        kind = part.get("type")
        if kind == "text":
            texts.append(_text(part.get("text"), "content"))
        elif kind in ("image", "image_url"):
            texts.append(IMAGE_TAG)
            photos += photo_sources(part.get(str(kind)))
        else:
            raise FormatError("unsupported", f"a part of type {str(kind)[:40]!r} is not read")
    return "".join(texts)


def _first(row: Mapping[str, JsonValue], names: Sequence[str]) -> JsonValue:
    """Give the first field that has a value, in the spelling of ms-swift or in capitals."""
    for name in names:
        value = row.get(name, row.get(name.capitalize()))
        if value is not None and value != []:
            return value
    return None


def _parsed(value: JsonValue) -> list[JsonValue]:
    """Give a list, also one that stands in a text, as CSV files have it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(cast(str, value))
            except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
                raise FormatError(BAD_ROW, "messages or history is no list") from error
    if not isinstance(value, list):
        raise FormatError(BAD_ROW, "messages or history is no list")
    return value


def _text(value: JsonValue, name: str) -> str:
    if not isinstance(value, str):
        raise FormatError(BAD_ROW, f"{name} is no text")
    return value


def _hash(row: Mapping[str, JsonValue]) -> str:
    """Hash a row, and refuse one that no file of rows could hold."""
    try:
        refuse_depth(dict(row))
        text = json.dumps(row, ensure_ascii=False, sort_keys=True).encode()
    except UnicodeEncodeError as error:
        raise FormatError(BAD_ROW, "holds half a character") from error
    except ValueError as error:
        raise FormatError(BAD_ROW, str(error)) from error
    return hashlib.sha256(text).hexdigest()[:16]
