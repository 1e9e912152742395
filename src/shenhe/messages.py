"""Messages to a model, and its answers: requests are put to engines, which give answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from shenhe.errors import ItemError
from shenhe.geometry import Size
from shenhe.locations import Location

FinishReason = Literal["stop", "length", "loop"]
"""An answer ended by itself, at the token limit, or because it went round in a circle."""


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A photo inside a message, by reference: engines open its pixels."""

    path: Location


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: text and photos in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | ImagePart, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must be, as Lark, and as a regular expression, which cannot say as much.

    `photos` are those of a caption, `highest` its largest number.
    """

    kind: Literal["caption", "summary", "verdict"]
    lark: str
    regex: str
    photos: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an engine.

    `choices` asks for the log-probability of each as the opening. `grammar` is what the answer must
    be; an engine that is told not to constrain, or cannot, passes it over. `temperature` is the
    least it may be answered with.
    """

    key: str
    messages: tuple[Message, ...]
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    attempt: int = 0
    grammar: Grammar | None = None
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class PhotoSize:
    """Both sizes of a photo, in pixels: of the upright original, and as the model saw it.

    `damaged_inside` is what the decoder said of data that make no sense, empty where all is well.
    """

    original_wh: Size
    resized_wh: Size
    damaged_inside: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine wrote for the request of the same key; `sizes` follow its photos."""

    key: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    new_tokens: int
    sizes: tuple[PhotoSize, ...] = ()
    choice_logprobs: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request that got no answer, and why; `key` and `attempt` are the request's."""

    key: str
    code: str
    message: str
    attempt: int = 0

    @classmethod
    def of(cls, request: Request, error: ItemError, message: str | None = None) -> Self:
        """Take key and attempt of a request, and code and text of an error."""
        return cls(request.key, error.code, message or str(error), request.attempt)
