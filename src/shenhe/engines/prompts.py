"""Prompts as a checkpoint takes them: its chat template, its tokenizer, the photos opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import TemplateError

from shenhe import photos
from shenhe.checkpoints.interfaces import ChatMessage, PlainTokenizer
from shenhe.errors import EngineError, OptionError
from shenhe.messages import ImagePart, Message, Request
from shenhe.photos import LoadedPhoto, PixelBudget


def load_photos(request: Request, budget: PixelBudget) -> list[LoadedPhoto]:
    """Open the photos of a request, in order.

    Raises: PhotoError.
    """
    return [photos.load(path, budget) for path in request.photos]


def chosen_budget(own: PixelBudget, max_pixels: int | None) -> PixelBudget:
    """Choose the range of pixels of photos: a checkpoint's own, up to what an option says.

    Raises: OptionError below what the checkpoint takes.
    """
    if max_pixels is None:
        return own
    if max_pixels < own.min_pixels:
        problem = f"below the least of this checkpoint, {own.min_pixels}"
        raise OptionError("max_pixels", max_pixels, problem)
    return PixelBudget(own.min_pixels, max_pixels)


def prompt_text(messages: Sequence[Message], tokenizer: PlainTokenizer) -> str:
    """Render the messages of a request with a checkpoint's chat template.

    Raises: EngineError if the template fails, as it would for every request.
    """
    try:
        return tokenizer.apply_chat_template(
            [as_template_message(message) for message in messages],
            tokenize=False,
            add_generation_prompt=True,
        )
    except TemplateError as error:
        raise EngineError(f"the checkpoint's chat template cannot be used: {error}") from error


def as_template_message(message: Message) -> ChatMessage:
    """Convert a message to the form that chat templates take."""
    parts = [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}


def expand_image_tokens(text: str, token: str, counts: Sequence[int]) -> str:
    """Repeat each photo's token as often as the model has embeddings for the photo.

    >>> expand_image_tokens("<a>b<a>", "<a>", [1, 2])
    '<a>b<a><a>'

    Raises: ValueError if a prompt has another number of image tokens than of photos.
    """
    first, *parts = text.split(token)
    if len(parts) != len(counts):
        raise ValueError(f"{len(counts)} photos, and {len(parts)} places for them")
    return first + "".join(token * count + part for count, part in zip(counts, parts, strict=True))


class ChoiceTokens(NamedTuple):
    """Where the choices of a request part: the tokens that all begin with, then one of each."""

    shared: tuple[int, ...]
    first: Mapping[str, int]


def choice_tokens(choices: Sequence[str], tokenizer: PlainTokenizer) -> ChoiceTokens | None:
    """Find the tokens by which choices can be told apart; None if they do not part at one place.

    Behind equal beginnings, as a mark before a word, only what follows tells them apart.
    """
    tokens = [tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in choices]
    columns = enumerate(zip(*tokens, strict=False))
    position = next((index for index, column in columns if len(set(column)) > 1), None)
    if position is None:
        return None
    first = {choice: ids[position] for choice, ids in zip(choices, tokens, strict=True)}
    if len(set(first.values())) < len(first):
        return None
    return ChoiceTokens(tuple(tokens[0][:position]), first)
