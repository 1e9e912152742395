"""`shenhe chat`: talk to a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

from shenhe.cli.loading import (
    LoadOptions,
    make_engine,
    max_new_tokens,
    with_model_of_args,
)
from shenhe.cli.values import PhotoLocation
from shenhe.errors import OptionError, spelled
from shenhe.options import Count, option, option_class, section
from shenhe.printable import show


@option_class
class QuestionOptions:
    """What is asked first, or alone."""

    prompt: str | None = option(
        "ask this alone, print the answer, leave", default=None, metavar="TEXT"
    )
    image: tuple[PhotoLocation, ...] = option(
        "photos for the first question", default=(), metavar="PATH"
    )


@option_class
class ChatOptions:
    """Options of a conversation."""

    load: LoadOptions = section("model")
    system: str | None = option(
        "a text file with the system prompt; default: what args.json says it was trained with",
        default=None,
        metavar="FILE",
    )
    question: QuestionOptions = section(default=QuestionOptions())
    stream: bool = option("print an answer as it is written", default=True)
    max_new_tokens: Count = max_new_tokens(2048)


def chat(options: ChatOptions) -> int:
    """Ask one question, or talk until the end of the input."""
    load = with_model_of_args(options.load)
    system = _trained_system(load) if options.system is None else _read_system(options.system)
    return talk(load, system, options.question, options.max_new_tokens, stream=options.stream)


def talk(
    load: LoadOptions,
    system: str,
    question: QuestionOptions,
    max_new_tokens: int,
    *,
    stream: bool,
) -> int:
    """Ask the one question, or talk until the end of the input. Returns the exit code.

    Raises: OptionError for a photo that is not there, PhotoError for one that cannot be read; what
    loading a model raises.
    """
    from shenhe.chat import Conversation, Terminal
    from shenhe.config import load_formats, load_prompts
    from shenhe.engines.deferred import load_now
    from shenhe.photos import open_upright

    config = load.config
    formats = load_formats(config.formats)
    template = load_prompts(config.prompts, formats).caption
    if load.devices:
        problem = f"one answer at a time takes one device: {spelled('device', 'cuda:0')}"
        raise OptionError("devices", ",".join(load.devices), problem)
    for path in question.image:
        if isinstance(path, Path) and not path.is_file():
            raise OptionError("image", path, "no such photo")
        open_upright(path)  # one that cannot be read ends here, before the model is loaded
    photos = list(question.image)
    engine = load_now(make_engine(load))
    conversation = Conversation(engine, system, max_new_tokens, formats.caption, waiting=photos)
    terminal = Terminal(conversation, template, stream=stream)
    if question.prompt is not None:
        return terminal.one_shot(question.prompt)
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
