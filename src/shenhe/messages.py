"""Messages to a model, and its answers: engines take requests and give answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, Self

from shenhe.errors import ItemError
from shenhe.geometry import Size
from shenhe.locations import Location

IMAGE_TAG: Final = "<image>"
"""Stands for a photo in a text, as in ms-swift."""
FinishReason = Literal["stop", "length", "loop"]
"""An answer ended by itself, at the token limit, or because it repeated itself."""


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A photo in a message, by reference: engines open its pixels."""

    path: Location


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: text and photos in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | ImagePart, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """The form of an answer, as Lark, and as a regular expression, which is less strict.

    `photos` is the number of photos of a caption, `highest` its largest coordinate.
    """

    kind: Literal["caption", "summary", "verdict"]
    lark: str
    regex: str
    photos: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an engine.

    `choices` asks for the log-probability of each as the opening of the answer. `grammar` is the
    form of the answer; an engine that does not constrain ignores it. `temperature` is the lowest
    that the engine may use. Of a `streamed` one an engine that serves passes on each Piece.
    """

    key: str
    messages: tuple[Message, ...]
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    attempt: int = 0
    grammar: Grammar | None = None
    temperature: float = 0.0
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """Facts of a photo itself, beside what a model says of it; None for what is not known.

    `content_hash` is the SHA-256 of its bytes, `perceptual_hash` that of how it looks (64 bits, in
    hexadecimal). `captured_at` (ISO 8601), `gps` (latitude and longitude in degrees) and `camera`
    are what its EXIF says. `sharpness` is the variance of the Laplacian of a grey copy, as a
    multiple of that of the copy, and `brightness` its mean, from 0 to 255. `damaged_inside` is what
    the decoder said of damaged data. `colour_profile` is the name of its profile, which is not
    applied.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # rows hold it, and refuse unknown keys

    damaged_inside: str | None = None
    content_hash: str | None = None
    perceptual_hash: str | None = None
    captured_at: str | None = None
    gps: tuple[float, float] | None = None
    camera: str | None = None
    sharpness: float | None = None
    brightness: float | None = None
    screenshot: bool | None = None
    colour_profile: str | None = None


@dataclass(frozen=True, slots=True)
class PhotoSize:
    """Sizes of a photo, in pixels: of the upright original, and as the model saw it; its facts."""

    original_wh: Size
    resized_wh: Size
    facts: PhotoFacts = PhotoFacts()


@dataclass(frozen=True, slots=True)
class Piece:
    """New text of an answer that is being written; the pieces join to the text of the answer."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the request of the same key; `sizes` follow the order of its photos."""

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
    """A request without an answer, and why; `key` and `attempt` are those of the request."""

    key: str
    code: str
    message: str
    attempt: int = 0

    @classmethod
    def of(cls, request: Request, error: ItemError, message: str | None = None) -> Self:
        """Take key and attempt of a request, and code and text of an error."""
        return cls(request.key, error.code, message or str(error), request.attempt)

    @classmethod
    def of_answer(cls, answer: Answer, error: ItemError) -> Self:
        """Take key and attempt of an answer that cannot be used, and code and text of an error."""
        return cls(answer.key, error.code, str(error), answer.attempt)


Served = Answer | RequestFailed | Piece
"""What an engine that serves gives: results, and pieces of streamed answers before them."""
