"""Prompts as a checkpoint takes them: its chat template, its tokenizer, the photos opened."""

from __future__ import annotations

from collections.abc import Iterable

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


def first_tokens(choices: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Map each choice to its first token; empty if two choices share one."""
    tokens = {
        choice: tokenizer(choice, add_special_tokens=False)["input_ids"][0] for choice in choices
    }
    return tokens if len(set(tokens.values())) == len(tokens) else {}
