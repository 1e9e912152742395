"""What a server can do, found by probing: each accepts formats in its own way, or not at all."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from shenhe.engines.server.completions import Body, first_choice, plain_text, top_tokens_at
from shenhe.messages import Grammar

Probe = Callable[[Body], Body | None]
"""Requests a completion; None if the server refuses the request."""

PROBE_TEXT = "ok7ok7"
"""No model writes this by itself: an answer equal to it was constrained to it."""
FORMS: dict[str, Callable[[str], Body]] = {
    "structured_outputs": lambda regex: {"structured_outputs": {"regex": regex}},
    "guided_regex": lambda regex: {"guided_regex": regex},
    "regex": lambda regex: {"regex": regex},
    "regex_schema": lambda regex: {
        "response_format": {"type": "regex_schema", "regex_schema": regex}
    },
}
"""Fields that constrain an answer to a regular expression: vLLM, vLLM before 0.11, SGLang,
LMDeploy."""
EXTRAS: Body = {"skip_special_tokens": False, "repetition_penalty": 1.0}
"""Box tokens are part of an answer, and greedy decoding ignores the checkpoint's own generation
settings."""
TOP_LOGPROBS = (20, 5)
Packing = Literal["PNG", "BMP"]
"""Lossless format of photos on the wire: BMP takes an eighth of the time, and two or three times
the bytes, which are free on loopback."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is addressed. `form` is a key of FORMS, None if it cannot constrain."""

    extras: bool
    form: str | None
    top_logprobs: int
    packing: Packing

    def constrain(self, grammar: Grammar | None) -> Body:
        """Return the fields that constrain an answer, as far as the server can."""
        if self.form is None or grammar is None:
            return {}
        return FORMS[self.form](grammar.regex)


def find_dialect(model: str, probe: Probe, *, constrain: bool, packing: Packing) -> Dialect:
    """Send a server a few short requests, to see what it accepts and what it does with it.

    A packing that it does not accept is replaced by PNG, which all accept.
    """
    plain: Body = {
        "model": model,
        "messages": [{"role": "user", "content": "1"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    short = plain | {"max_tokens": 1}
    return Dialect(
        extras=probe(short | EXTRAS) is not None,
        top_logprobs=_find_top_logprobs(short, probe),
        form=_find_form(plain, probe) if constrain else None,
        packing=packing if packing == "PNG" or _accepts(packing, short, probe) else "PNG",
    )


def data_url(image: Image.Image, packing: Packing) -> str:
    """Encode a photo as a data URL."""
    file = io.BytesIO()
    image.save(file, packing, **({"compress_level": 1} if packing == "PNG" else {}))
    return f"data:image/{packing.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _find_top_logprobs(short: Body, probe: Probe) -> int:
    """Find the largest number of top log-probabilities that the server reports; 0 for none."""
    for count in TOP_LOGPROBS:
        completion = probe(short | {"logprobs": True, "top_logprobs": count})
        if completion is not None and any(top_tokens_at(completion)):
            return count
    return 0


def _find_form(plain: Body, probe: Probe) -> str | None:
    """Find the form in which the server constrains an answer."""
    for name, fields in FORMS.items():
        completion = probe(plain | fields(PROBE_TEXT))
        if completion is not None and _answer_text(completion).strip() == PROBE_TEXT:
            return name
    return None


def _accepts(packing: Packing, short: Body, probe: Probe) -> bool:
    url = data_url(Image.new("RGB", (64, 64)), packing)
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return probe(short | {"messages": [{"role": "user", "content": content}]}) is not None


def _answer_text(body: Body) -> str:
    message = (first_choice(body) or {}).get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return plain_text(content) or ""
