"""Prompts as a checkpoint takes them: its chat template, its tokenizer, the photos opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import TemplateError

from shenhe import photos
from shenhe.checkpoints.interfaces import ChatMessage, Tokenizer
from shenhe.errors import EngineError
from shenhe.messages import ImagePart, Message, Request
from shenhe.photos import LoadedPhoto, PixelBudget


def load_photos(request: Request, budget: PixelBudget) -> list[LoadedPhoto]:
    """Open the photos of a request, in order.

    Raises: PhotoError.
    """
    return [
        photos.load(part.path, budget)
        for message in request.messages
        for part in message.parts
        if isinstance(part, ImagePart)
    ]


def prompt_text(request: Request, tokenizer: Tokenizer) -> str:
    """Render a request with a checkpoint's chat template.

    Raises: EngineError if the template fails, as it would for every request.
    """
    try:
        return tokenizer.apply_chat_template(
            [as_template_message(message) for message in request.messages],
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


class ChoiceTokens(NamedTuple):
    """Where the choices of a request part: the tokens that all begin with, then one of each."""

    shared: tuple[int, ...]
    first: Mapping[str, int]


def choice_tokens(choices: Sequence[str], tokenizer: Tokenizer) -> ChoiceTokens | None:
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
