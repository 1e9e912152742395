"""What of a completion is needed, read from whatever shape a server gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shenhe.engines.logprobs import are_plausible, is_logprob
from shenhe.engines.server.faults import UselessAnswerError, torn
from shenhe.messages import FinishReason

Body = dict[str, Any]

FINISHES: Final[dict[str, FinishReason]] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_length"), "length"),
}
"""By what name servers tell that an answer ended by itself, or at the limit."""
MOST_TOKENS: Final = 1 << 31
SHOWN: Final = 1000
"""Characters of an odd text that go into a message, which is cut again when nothing in it is secret
any more."""
REASONING: Final = ("reasoning_content", "reasoning")


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer in a body. `likeliest` are its first token's candidates, (opening, log-prob)."""

    text: str
    finish: FinishReason
    prompt_tokens: int
    new_tokens: int
    likeliest: tuple[tuple[bytes, float], ...]


def read_json(raw: bytes | str) -> Any:
    """Read JSON that somebody else wrote.

    Raises: BadAnswerError.
    """
    try:
        return json.loads(raw)
    except UnicodeDecodeError as error:
        raise torn("no JSON: it is not UTF-8") from error
    except RecursionError as error:
        raise UselessAnswerError("JSON that is nested too deeply") from error
    except ValueError as error:
        start = raw[:SHOWN].decode("utf-8", "replace") if isinstance(raw, bytes) else raw[:SHOWN]
        what = f"no JSON: {error}: {start.strip()!r}" if start.strip() else "an empty answer"
        raise torn(what) from error


def read_completion(body: Body) -> Completion:
    """Read the answer of a completion; whatever else a server tells is taken or left.

    Raises: BadAnswerError.
    """
    choice = first_choice(body)
    if choice is None:
        raise torn("no completion: no choices")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise torn("no completion: no message")
    text, finish = _text(message), choice.get("finish_reason")
    name = finish.casefold() if isinstance(finish, str) else ""
    if name not in FINISHES:
        raise UselessAnswerError(f"finish_reason {str(finish)[:SHOWN]}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UselessAnswerError(
            f"half a character (a lone surrogate) at place {error.start} of the text"
        ) from error
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Completion(
        text,
        FINISHES[name],
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
        tuple(first_likeliest(body)),
    )


def first_choice(body: Body) -> Body | None:
    """Give the first choice of a body; None where there is none."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def plain_text(content: Any) -> str | None:
    """Join a content, which may be a list of parts; None where it is no text.

    >>> plain_text([{"type": "text", "text": "通过"}])
    '通过'
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    pieces: list[str] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            continue
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            return None
        pieces.append(text)
    return "".join(pieces)


def first_likeliest(body: Body) -> Iterator[tuple[bytes, float]]:
    """Give the likeliest tokens at the start of an answer; none unless all of them are known."""
    found: Any = first_choice(body)
    for key, kind in (("logprobs", dict), ("content", list)):
        found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, kind):
            return
    first = found[0] if found else None
    tokens = first.get("top_logprobs") if isinstance(first, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        return
    openings = [_opening(token) for token in tokens]
    values = [token.get("logprob") for token in tokens]
    if None in openings or not all(map(is_logprob, values)):
        return
    # A token that is told twice is one token.
    told = dict.fromkeys(zip(openings, values, strict=True))
    if are_plausible(value for _, value in told):
        yield from ((opening or b"", float(value)) for opening, value in told)


def _text(message: Body) -> str:
    """Give the text of a message.

    Raises: UselessAnswerError that says what became of it.
    """
    text = plain_text(message.get("content"))
    if text:
        return text
    if any(message.get(name) for name in REASONING):
        raise UselessAnswerError(
            "content is empty, and the text stands in reasoning_content: start the server without"
            " its reasoning parser (vLLM, SGLang, LMDeploy: no --reasoning-parser)"
        )
    if text is not None:
        return text
    for name in ("refusal", "tool_calls"):
        if message.get(name):
            raise UselessAnswerError(f"content is empty, and there is a {name}")
    kind = "null" if message.get("content") is None else type(message["content"]).__name__
    raise UselessAnswerError(f"no completion: content is {kind}, not a text")


def _count(value: Any) -> int:
    """Give a number of tokens; 0 where a server tells none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < MOST_TOKENS else 0


def _opening(token: Body) -> bytes | None:
    """Give the bytes of a token; None where they cannot be read."""
    try:
        told = token.get("bytes")
        return bytes(told) if isinstance(told, list) and told else str(token["token"]).encode()
    except (KeyError, TypeError, ValueError):
        return None
