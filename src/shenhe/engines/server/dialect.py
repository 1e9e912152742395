"""What a server can do, found by asking it: each takes a format in its own way, or not at all."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from shenhe.engines.server.completions import Body, first_choice, first_likeliest, plain_text
from shenhe.messages import Grammar

Ask = Callable[[Body], Body | None]
"""Asks for a completion; None where the server refuses the request."""

PROBE = "ok7ok7"
"""What no model says by itself: a server whose answer is this was held to it."""
FORMS: dict[str, Callable[[str], Body]] = {
    "structured_outputs": lambda regex: {"structured_outputs": {"regex": regex}},
    "guided_regex": lambda regex: {"guided_regex": regex},
    "regex": lambda regex: {"regex": regex},
    "regex_schema": lambda regex: {
        "response_format": {"type": "regex_schema", "regex_schema": regex}
    },
}
"""How to hold an answer to a regular expression: vLLM, vLLM before 0.11, SGLang, LMDeploy."""
EXTRAS: Body = {"skip_special_tokens": False, "repetition_penalty": 1.0}
"""Box tokens are part of an answer, and greedy means greedy, whatever the checkpoint's own
generation settings say."""
TOP_LOGPROBS = (20, 5)
Packing = Literal["PNG", "BMP"]
"""How photos travel, pixel for pixel: BMP takes an eighth of the time, and two or three times the
bytes, which on loopback cost nothing."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is spoken to. `form` is a key of FORMS, None: it cannot be held to formats."""

    extras: bool
    form: str | None
    top_logprobs: int
    packing: Packing

    def of_grammar(self, grammar: Grammar | None) -> Body:
        """Say what the answer must be, as far as the server can be told."""
        if self.form is None or grammar is None:
            return {}
        return FORMS[self.form](grammar.regex)


def find_dialect(model: str, ask: Ask, *, constrain: bool, packing: Packing) -> Dialect:
    """Ask a server a few short questions, to see what it takes and what it does with it.

    A packing that it does not take becomes PNG, which all take.
    """
    plain: Body = {
        "model": model,
        "messages": [{"role": "user", "content": "1"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    extras = ask(plain | {"max_tokens": 1} | EXTRAS) is not None
    top = 0
    for count in TOP_LOGPROBS:
        found = ask(plain | {"max_tokens": 1, "logprobs": True, "top_logprobs": count})
        if found is not None and any(first_likeliest(found)):
            top = count
            break
    form = None
    for name, say in FORMS.items() if constrain else ():
        found = ask(plain | say(PROBE))
        if found is not None and _text(found).strip() == PROBE:
            form = name
            break
    if packing != "PNG":
        photo = {
            "type": "image_url",
            "image_url": {"url": data_url(Image.new("RGB", (64, 64)), packing)},
        }
        seen = ask(plain | {"max_tokens": 1, "messages": [{"role": "user", "content": [photo]}]})
        packing = packing if seen is not None else "PNG"
    return Dialect(extras, form, top, packing)


def data_url(image: Image.Image, packing: Packing) -> str:
    """Write a photo into an address of its own."""
    packed = io.BytesIO()
    image.save(packed, packing, **({"compress_level": 1} if packing == "PNG" else {}))
    return f"data:image/{packing.lower()};base64,{base64.b64encode(packed.getvalue()).decode()}"


def _text(body: Body) -> str:
    message = (first_choice(body) or {}).get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return plain_text(content) or ""
