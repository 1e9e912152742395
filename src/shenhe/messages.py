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

    `photos` is the number of photos of a caption, `highest` its largest coordinate. One that a
    client sent is foreign: it may be of no use, which is that request's failure alone.
    """

    kind: Literal["caption", "summary", "verdict"]
    lark: str
    regex: str
    photos: int = 0
    highest: int = 0
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class FreeGrammar:
    """The form of an answer that a client asks for, which no format of this package has.

    `source` is a Lark grammar, a regular expression, or a JSON schema as text.
    """

    language: Literal["lark", "regex", "json_schema"]
    source: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn, as a client asks for it; temperature 0 takes the best.

    `top_k` 0 and `min_p` 0 leave all tokens. Without a `seed` it is made of the request's key.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an engine.

    `choices` asks for the log-probability of each as the opening of the answer. `grammar` is the
    form of the answer; an engine that does not constrain ignores it. `temperature` is the lowest
    that the engine may use. Of a `streamed` one an engine that serves passes on each Piece.
    `sampling` replaces what the engine's options, `temperature` and `attempt` say of it. The answer
    ends before the first of the texts in `stop`. `top_logprobs` asks for the log-probability of
    each token, and those of so many of the likeliest.
    """

    key: str
    messages: tuple[Message, ...]
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    attempt: int = 0
    grammar: Grammar | FreeGrammar | None = None
    temperature: float = 0.0
    streamed: bool = False
    sampling: Sampling | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None

    @property
    def photos(self) -> list[Location]:
        """Where its photos are, in order."""
        parts = (part for message in self.messages for part in message.parts)
        return [part.path for part in parts if isinstance(part, ImagePart)]


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
class TokenLogprob:
    """A token of an answer, its bytes, and its log-probability, natural, with that of others.

    The distribution is the model's own over the tokens that the grammar allows there, before
    temperature and penalties, as in vLLM. `text` holds U+FFFD for incomplete characters.
    """

    text: str
    raw: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """New text of an answer that is being written; the pieces join to the text of the answer."""

    key: str
    text: str
    token_logprobs: tuple[TokenLogprob, ...] = ()


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
    token_logprobs: tuple[TokenLogprob, ...] = ()


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
