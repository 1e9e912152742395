"""From a chat request to a request to the engine: messages, photos on disk, sampling, form."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi.concurrency import run_in_threadpool

from shenhe.messages import IMAGE_TAG, ImagePart, Message, Request, Sampling
from shenhe.service.chat.forms import form_of
from shenhe.service.chat.protocol import ChatRequest, SentMessage
from shenhe.service.chat.served import ChatModel
from shenhe.service.fetching import PhotoFetcher
from shenhe.service.inbox import Reception
from shenhe.service.refusals import RefusedError

MIN_TEMPERATURE = 1e-5
"""Below it the best token is taken: scores divided by less overflow."""
CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class PhotoAddress:
    """A photo of a conversation before it is opened: a data: URL, an http(s) one, or base64."""

    url: str


SentParts = list[str | PhotoAddress]


def conversation_of(chat: ChatRequest) -> list[tuple[SentMessage, SentParts]]:
    """Lay out texts and photos of each message in their order.

    Photos of `images` stand where the texts have <image>, as in ms-swift.
    Raises: RefusedError for photos that are nobody's or missing, or not a user's.
    """
    images = iter(chat.images or ())
    laid_out = []
    for message in chat.messages:
        parts: SentParts = []
        for part in _parts(message):
            if isinstance(part, PhotoAddress) or not chat.images:
                parts.append(part)
            else:
                parts += _with_images(part, images)
        if message.role != "user" and any(isinstance(part, PhotoAddress) for part in parts):
            raise RefusedError(400, "bad_field", f"messages: a photo of the {message.role}")
        laid_out.append((message, parts))
    if next(images, None) is not None:
        raise RefusedError(400, "bad_field", f"images: more than {IMAGE_TAG} tags")
    return laid_out


async def receive_conversation(
    conversation: Sequence[tuple[SentMessage, SentParts]],
    reception: Reception,
    fetcher: PhotoFetcher,
) -> tuple[Message, ...]:
    """Write the photos of a conversation to disk, and give its messages.

    Raises: RefusedError for a photo that cannot be had, or exceeds a limit; RunError.
    """
    messages = []
    for message, parts in conversation:
        received: list[str | ImagePart] = []
        for part in parts:
            if isinstance(part, str):
                received.append(part)
                continue
            if part.url.lower().startswith(("http://", "https://")):
                await fetcher.fetch([part.url], reception)
            else:
                await run_in_threadpool(_write_photo, part.url, reception)
            received.append(ImagePart(Path(reception.photos[-1].path).absolute()))
        messages.append(Message(_role(message), tuple(received)))
    return tuple(messages)


def make_request(
    chat: ChatRequest, key: str, messages: tuple[Message, ...], model: ChatModel
) -> Request:
    """Make the request to the engine.

    Raises: RefusedError for what is over a limit.
    """
    limits = model.limits
    texts = sum(len(part) for m in messages for part in m.parts if isinstance(part, str))
    if texts > limits.text:
        problem = f"messages: over {limits.text:,} characters of text"
        raise RefusedError(413, "text_too_long", problem)
    tokens = chat.max_completion_tokens or chat.max_tokens or limits.usual_new_tokens
    if tokens > limits.new_tokens:
        problem = f"max_tokens: over the limit of {limits.new_tokens:,}"
        raise RefusedError(400, "bad_field", problem)
    stop = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    return Request(
        key,
        messages,
        tokens,
        grammar=form_of(chat, limits.grammar),
        streamed=bool(chat.stream),
        sampling=_sampling(chat, model.sampling),
        stop=tuple(text for text in stop if text),
        top_logprobs=(chat.top_logprobs or 0) if chat.logprobs else None,
    )


def _sampling(chat: ChatRequest, usual: Sampling) -> Sampling:
    """Take what the client says, and for the rest what is usual here."""
    temperature = usual.temperature if chat.temperature is None else chat.temperature
    penalty = chat.repetition_penalty
    return Sampling(
        temperature if temperature >= MIN_TEMPERATURE else 0.0,
        usual.top_p if chat.top_p is None else chat.top_p,
        max(0, chat.top_k or 0),
        chat.min_p or 0.0,
        usual.repetition_penalty if penalty is None else penalty,
        chat.seed,
    )


def _role(message: SentMessage) -> Literal["system", "user", "assistant"]:
    return "system" if message.role == "developer" else message.role


def _parts(message: SentMessage) -> Iterator[str | PhotoAddress]:
    if not isinstance(message.content, list):
        yield message.content or ""
        return
    for part in message.content:
        address = part.photo
        yield (part.text or "") if address is None else PhotoAddress(address)


def _with_images(text: str, images: Iterator[str]) -> Iterator[str | PhotoAddress]:
    first, *others = text.split(IMAGE_TAG)
    if first or not others:
        yield first
    for other in others:
        image = next(images, None)
        if image is None:
            raise RefusedError(400, "bad_field", f"images: fewer than {IMAGE_TAG} tags")
        yield PhotoAddress(image)
        if other:
            yield other


def _write_photo(url: str, reception: Reception) -> None:
    """Write a photo that came within the request.

    Raises: RefusedError.
    """
    text = url
    if url[:5].lower() == "data:":
        head, comma, text = url.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise RefusedError(400, "bad_photo", "a photo: give data:image/...;base64,...")
    elif len(url) <= MAX_ADDRESS:
        problem = "a photo: give a data: URL, or one with http:// or https://"
        raise RefusedError(400, "bad_photo", problem)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, "bad_photo", "a photo: it is not base64") from error
    reception.begin_photo("")
    for start in range(0, len(content), CHUNK):
        reception.write(content[start : start + CHUNK])
    reception.end_photo()


MAX_ADDRESS = 200
"""A text that is no URL and no longer than this is a path, not a photo in base64."""
