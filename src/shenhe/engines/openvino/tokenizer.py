"""The tokenizer and the chat template of a checkpoint, without transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn, overload

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.inspect import read_object
from shenhe.checkpoints.interfaces import ChatMessage
from shenhe.errors import CheckpointError

Messages = Sequence[ChatMessage]
TEMPLATE, SETTINGS = "chat_template.jinja", "tokenizer_config.json"


class ExportedTokenizer:
    """A PlainTokenizer of a checkpoint's folder: what transformers' own gives, token for token."""

    def __init__(self, folder: Path) -> None:
        """Read a tokenizer.

        Raises: CheckpointError for one that is missing or damaged.
        """
        path = folder / "tokenizer.json"
        settings = read_object(folder / SETTINGS, CheckpointError)
        with foreign_library(f"{path}: cannot be read", CheckpointError):
            self.backend_tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        self.backend_tokenizer.no_padding()
        self.backend_tokenizer.no_truncation()
        self._special = {
            name: _text(value)
            for name, value in settings.items()
            if name.endswith("_token") and _text(value)
        }
        eos = self._special.get("eos_token")
        self.eos_token_id = None if eos is None else self.backend_tokenizer.token_to_id(eos)
        self.chat_template: str | None = _read_template(folder, settings)
        if not self.chat_template:
            raise CheckpointError(
                f"{folder}: {TEMPLATE} is missing; copy it from the base checkpoint"
            )
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _as_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": datetime.now().strftime}
        self._environment = environment

    def __call__(self, text: str, *, add_special_tokens: bool) -> Mapping[str, list[int]]:
        """Split a text into tokens: `input_ids`."""
        encoded = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return {"input_ids": encoded.ids}

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]: ...

    def convert_ids_to_tokens(self, ids: int | list[int]) -> str | list[str]:
        """Look up the tokenizer's own names of tokens; an unknown one is empty."""
        if isinstance(ids, int):
            return self.backend_tokenizer.id_to_token(ids) or ""
        return [self.convert_ids_to_tokens(token) for token in ids]

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Turn token ids into text."""
        text: str = self.backend_tokenizer.decode(
            list(token_ids), skip_special_tokens=skip_special_tokens
        )
        return text

    def apply_chat_template(
        self, conversation: Messages, *, tokenize: bool, add_generation_prompt: bool = False
    ) -> str:
        """Render messages as a prompt, which is not tokenized.

        Raises: jinja2.TemplateError.
        """
        return self._environment.from_string(self.chat_template or "").render(
            messages=conversation,
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **self._special,
        )


def _read_template(folder: Path, settings: Mapping[str, object]) -> str | None:
    """Read a chat template: a file of its own, or in the settings of the tokenizer."""
    path = folder / TEMPLATE
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    return template if isinstance(template, str) else None


def _text(value: object) -> str | None:
    """Read a special token, which may stand with how it is to be split."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _as_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
