"""`shenhe chat`, and `shenhe infer` for those who come from ms-swift: talk to a checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import (
    InferLoadOptions,
    LoadOptions,
    make_engine,
    max_new_tokens,
    with_model_of_args,
)
from shenhe.cli.values import PhotoLocation
from shenhe.errors import OptionError
from shenhe.options import Count, option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from collections.abc import Callable


@option_class
class ChatOptions:
    """Options of a conversation."""

    load: LoadOptions = section("model")
    system: str | None = option(
        "a text file with the system prompt; default: what args.json says it was trained with",
        default=None,
        metavar="FILE",
    )
    prompt: str | None = option(
        "ask this alone, print the answer, leave", default=None, metavar="TEXT"
    )
    image: tuple[PhotoLocation, ...] = option(
        "photos for the first question", default=(), metavar="PATH"
    )
    stream: bool = option("print an answer as it is written", default=True)
    max_new_tokens: Count = max_new_tokens(2048)


@option_class
class InferOptions(ChatOptions):
    """Options of a conversation by ms-swift's names."""

    load: InferLoadOptions = section("model")


def chat(options: ChatOptions) -> int:
    """Ask one question, or talk until the end of the input."""
    return _chat(options, _read_system)


def infer(options: InferOptions) -> int:
    """Chat; the system prompt may be a text, and the model is named by args.json at need."""
    return _chat(options, _read_system_or_text)


def _chat(options: ChatOptions, read_system: Callable[[str], str]) -> int:
    from shenhe.chat import Conversation, Terminal
    from shenhe.config import load_formats, load_prompts

    config = options.load.config
    template = load_prompts(config.prompts, load_formats(config.formats)).caption
    load = with_model_of_args(options.load)
    system = _trained_system(load) if options.system is None else read_system(options.system)
    for path in options.image:
        if isinstance(path, Path) and not path.is_file():
            raise OptionError("image", path, "no such photo")
    conversation = Conversation(
        make_engine(load), system, options.max_new_tokens, waiting=list(options.image)
    )
    terminal = Terminal(conversation, template, stream=options.stream)
    if options.prompt is not None:
        return terminal.one_shot(options.prompt)
    return terminal.run()


def _trained_system(load: LoadOptions) -> str:
    """The system prompt that the model was trained with, or none: with another, answers drift."""
    from shenhe.checkpoints.trainer_args import read_trainer_args

    for name in (*load.adapters, load.model):
        if (args := read_trainer_args(Path(name))) and args.system:
            show(f"system prompt of {args.path}", file=sys.stderr)
            return args.system
    return ""


def _read_system(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("system", name, f"cannot be read: {error}") from error


def _read_system_or_text(value: str) -> str:
    """Read a file, or take the text itself, as ms-swift does."""
    try:
        return _read_system(value)
    except OptionError:
        if os.path.exists(value):
            raise
        return value
