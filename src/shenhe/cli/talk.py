"""`shenhe chat`: talk to a checkpoint."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from shenhe.chat import Conversation, Terminal
from shenhe.checkpoints.trainer_args import read_trainer_args
from shenhe.cli.composing import adapters_of, make_engine, model_of_args
from shenhe.config import load_prompts
from shenhe.errors import UsageError
from shenhe.printable import show


def chat(options: argparse.Namespace) -> int:
    """Ask one question, or talk until the end of the input."""
    template = load_prompts(options.prompts).caption
    options.model = model_of_args(options)
    system = _system(options)
    photos = [path for paths in options.image for path in paths]
    for path in photos:
        if isinstance(path, Path) and not path.is_file():
            raise UsageError(f"--image {path}: no such photo")
    conversation = Conversation(
        make_engine(options), system, options.max_new_tokens, waiting=photos
    )
    terminal = Terminal(conversation, template, stream=options.stream)
    if options.prompt is not None:
        return terminal.one_shot(options.prompt)
    return terminal.run()


def _system(options: argparse.Namespace) -> str:
    """The system prompt: a file's text; ms-swift takes the text itself as well.

    Another prompt than that of training is what makes answers drift: so the trained one is used
    where nobody names another, and said.
    """
    if options.system is None:
        for name in (*adapters_of(options), options.model):
            if (args := read_trainer_args(Path(name))) and args.system:
                show(f"system prompt of {args.path}", file=sys.stderr)
                return args.system
        return ""
    path = Path(options.system)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        if options.command == "infer" and not os.path.exists(path):
            return str(options.system)
        raise UsageError(f"--system {path}: cannot be read: {error}") from error
