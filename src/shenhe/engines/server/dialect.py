"""What a server can do, found by probing: each accepts formats in its own way, or not at all."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from PIL import Image

from shenhe.engines.server.completions import (
    FINISHES,
    Body,
    first_choice,
    plain_text,
    top_tokens_at,
)
from shenhe.errors import ItemError, UsageError, spelled
from shenhe.formats.gbnf import to_gbnf
from shenhe.formats.regex_to_gbnf import NotConvertibleError
from shenhe.messages import FreeGrammar, Grammar

log = logging.getLogger("shenhe.server")
LLAMA_CPP = "llamacpp"
"""The owner of models in llama.cpp's list."""
OF_SHENHE = "shenhe"
"""The owner of models in the list of `shenhe serve`."""
Probe = Callable[[Body], Body | None]
"""Requests a completion; None if the server refuses the request."""

PROBE_TEXT = "ok7ok7"
"""No model writes this by itself: an answer equal to it was constrained to it."""
PROBE = Grammar("summary", f'start: "{PROBE_TEXT}"\n', PROBE_TEXT)
FORMS: dict[str, Callable[[Grammar], Body]] = {
    "structured_outputs": lambda grammar: {"structured_outputs": {"regex": grammar.regex}},
    "guided_regex": lambda grammar: {"guided_regex": grammar.regex},
    "regex": lambda grammar: {"regex": grammar.regex},
    "regex_schema": lambda grammar: {
        "response_format": {"type": "regex_schema", "regex_schema": grammar.regex}
    },
    "grammar": lambda grammar: {"grammar": to_gbnf(grammar.lark)},
    "shenhe_grammar": lambda grammar: {"shenhe_grammar": asdict(grammar)},
}
"""Fields that constrain an answer to a grammar: vLLM, vLLM before 0.11, SGLang, LMDeploy,
llama.cpp, `shenhe serve`."""
VLLM_NAMES = {"lark": "grammar", "regex": "regex", "json_schema": "json"}
"""vLLM's names for languages of grammars."""
FREE_FORMS: dict[str, Callable[[FreeGrammar], Body]] = {
    "structured_outputs": lambda grammar: {
        "structured_outputs": {VLLM_NAMES[grammar.language]: grammar.source}
    },
    "guided_regex": lambda grammar: {f"guided_{VLLM_NAMES[grammar.language]}": grammar.source},
}
"""Fields that constrain an answer to a grammar of a client's own, by the form for others."""
FREE_FORMS["shenhe_grammar"] = FREE_FORMS["structured_outputs"]
FIRST_FORMS = {LLAMA_CPP: "grammar", OF_SHENHE: "shenhe_grammar"}
"""The likeliest form by owner: a server that ignores one writes an answer."""
EXTRAS: Body = {"skip_special_tokens": False, "repetition_penalty": 1.0}
"""Box tokens are part of an answer, and greedy decoding ignores the checkpoint's own generation
settings."""
OF_LLAMA_CPP: Body = {"repeat_penalty": 1.0, "top_k": 0, "min_p": 0.0}
"""Its own sampling, which else cuts off what other engines sample."""
TOP_LOGPROBS = (20, 5)
Packing = Literal["PNG", "BMP"]
"""Lossless format of photos on the wire: BMP takes an eighth of the time, and two or three times
the bytes, which are free on loopback."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is addressed. `form` is a key of FORMS, None if it cannot constrain; `owner`
    is the software that its list of models names."""

    extras: bool
    form: str | None
    top_logprobs: int
    packing: Packing
    owner: str = ""

    @property
    def sampling(self) -> Body:
        """The fields that put the server's own settings of sampling aside."""
        return (EXTRAS if self.extras else {}) | (OF_LLAMA_CPP if self.owner == LLAMA_CPP else {})

    def constrain(self, grammar: Grammar | FreeGrammar | None) -> Body:
        """Return the fields that constrain an answer, as far as the server can.

        Raises: UsageError for a grammar that the server's language cannot say; ItemError for one of
        a client that it takes none of.
        """
        if isinstance(grammar, FreeGrammar):
            if self.form not in FREE_FORMS:
                problem = "the server behind this one holds no answer to a grammar of one's own"
                raise ItemError("bad_grammar", problem)
            return FREE_FORMS[self.form](grammar)
        if self.form is None or grammar is None:
            return {}
        try:
            return FORMS[self.form](grammar)
        except NotConvertibleError as error:
            raise UsageError(f"{error}; {spelled('constrain', False)} goes without") from error


def find_dialect(
    model: str, probe: Probe, *, constrain: bool, packing: Packing, owner: str = ""
) -> Dialect:
    """Send a server a few short requests, to see what it accepts and what it does with it.

    A packing that it does not accept is replaced by PNG, which all accept. `owner` is the software
    that its list of models names.
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
        form=_find_form(plain, probe, _forms_of(owner)) if constrain else None,
        packing=packing if packing == "PNG" or _accepts(packing, short, probe) else "PNG",
        owner=owner,
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


def _forms_of(owner: str) -> tuple[str, ...]:
    """Name the forms to try, the likeliest first."""
    names = tuple(FORMS)
    return (FIRST_FORMS[owner], *names) if owner in FIRST_FORMS else names


def _find_form(plain: Body, probe: Probe, names: Iterable[str]) -> str | None:
    """Find the form in which the server constrains an answer, and ends it."""
    for name in names:
        completion = probe(plain | FORMS[name](PROBE))
        if completion is None or not _answer_text(completion).startswith(PROBE_TEXT):
            continue
        if _answer_text(completion).strip() == PROBE_TEXT and _is_ended(completion):
            return name
        log.warning(
            "the server holds an answer to a grammar by %r, and does not end it where the grammar"
            " ends: %r; answers are not held to their format in this way",
            name,
            _answer_text(completion)[:40],
        )
    return None


def _is_ended(completion: Body) -> bool:
    """Whether an answer ended by itself, before the limit of its tokens."""
    finish = (first_choice(completion) or {}).get("finish_reason")
    return FINISHES.get(str(finish).casefold()) == "stop"


def _accepts(packing: Packing, short: Body, probe: Probe) -> bool:
    url = data_url(Image.new("RGB", (64, 64)), packing)
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return probe(short | {"messages": [{"role": "user", "content": content}]}) is not None


def _answer_text(body: Body) -> str:
    message = (first_choice(body) or {}).get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return plain_text(content) or ""
