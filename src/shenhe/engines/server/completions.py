"""Chat completions, read from whatever form a server gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from shenhe.engines.logprobs import are_plausible, is_logprob
from shenhe.engines.server.faults import UselessAnswerError, torn_answer
from shenhe.messages import FinishReason, TokenLogprob

Body = dict[str, object]
"""A JSON object to or from a server; its values are checked where they are read."""

FINISHES: Final[dict[str, FinishReason]] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_length"), "length"),
}
"""Names that servers give to an answer's own end and to the limit."""
MAX_TOKENS: Final = 1 << 31
MAX_EXCERPT: Final = 1000
"""Characters of a malformed body in a message, which is cut again once its secrets are hidden."""
REASONING: Final = ("reasoning_content", "reasoning")


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer in a body; `top_tokens` are candidates for one of its tokens: bytes, log-prob."""

    text: str
    finish: FinishReason
    prompt_tokens: int
    new_tokens: int
    top_tokens: tuple[tuple[bytes, float], ...]
    top_tokens_start: int = 0
    """Bytes of the answer before that token."""


def read_json(raw: bytes | str) -> object:
    """Parse foreign JSON.

    Raises: BadAnswerError.
    """
    try:
        value: object = json.loads(raw)
    except UnicodeDecodeError as error:
        raise torn_answer("no JSON: it is not UTF-8") from error
    except RecursionError as error:
        raise UselessAnswerError("JSON that is nested too deeply") from error
    except ValueError as error:
        start = raw[:MAX_EXCERPT]
        start = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
        excerpt = start.strip()
        raise torn_answer(
            f"no JSON: {error}: {excerpt!r}" if excerpt else "an empty answer"
        ) from error
    return value


def read_completion(body: Body, opening: bytes = b"") -> Completion:
    """Read the answer of a completion; everything else in it is optional.

    The candidates are those of the token that follows an opening, or begins in it and goes on.

    Raises: BadAnswerError.
    """
    choice = first_choice(body)
    if choice is None:
        raise torn_answer("no completion: no choices")
    if _differ(body):
        raise UselessAnswerError("several choices that differ, where one was asked for")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise torn_answer("no completion: no message")
    text, finish = _message_text(message), choice.get("finish_reason")
    name = finish.casefold() if isinstance(finish, str) else ""
    if name not in FINISHES:
        raise UselessAnswerError(f"finish_reason {str(finish)[:MAX_EXCERPT]}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UselessAnswerError(
            f"half a character (a lone surrogate) at place {error.start} of the text"
        ) from error
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    position, start = _position_behind(body, opening)
    top_tokens = top_tokens_at(body, position) if _is_of(body, position, start, text) else ()
    return Completion(
        text,
        "loop" if choice.get("stop_reason") == "loop" else FINISHES[name],
        _token_count(counts.get("prompt_tokens")),
        _token_count(counts.get("completion_tokens")),
        tuple(top_tokens),
        start,
    )


def first_choice(body: Body) -> Body | None:
    """Return the first choice of a body; None if there is none."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _differ(body: Body) -> bool:
    """Whether several choices of a body say something, and not all the same text."""
    choices = body.get("choices")
    listed = choices if isinstance(choices, list) else []
    messages = [
        choice["message"] for choice in listed if isinstance(choice, dict) and "message" in choice
    ]
    texts = [
        plain_text(message.get("content")) if isinstance(message, dict) else None
        for message in messages
    ]
    return any(text != texts[0] for text in texts)


def plain_text(content: object) -> str | None:
    """Join a content, which may be a list of parts; None if it is no text.

    >>> plain_text([{"type": "text", "text": "通过"}])
    '通过'
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts: list[str] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            continue
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "".join(texts)


def top_tokens_at(body: Body, position: int = 0) -> Iterator[tuple[bytes, float]]:
    """Yield the top tokens at a token of an answer; none unless all can be read."""
    entries = _token_entries(body)
    entry = entries[position] if position < len(entries) else None
    candidates = entry.get("top_logprobs") if isinstance(entry, dict) else None
    if not isinstance(candidates, list):
        return
    top_tokens: dict[tuple[bytes, float], None] = {}  # a token that comes twice counts once
    for candidate in candidates:
        token = _token_bytes(candidate) if isinstance(candidate, dict) else None
        logprob = candidate.get("logprob") if isinstance(candidate, dict) else None
        if token is None or not is_logprob(logprob):
            return
        top_tokens[token, logprob] = None
    if are_plausible(logprob for _, logprob in top_tokens):
        yield from ((token, float(logprob)) for token, logprob in top_tokens)


def token_logprobs(body: Body, count: int | None) -> Iterator[TokenLogprob]:
    """Yield the log-probabilities of an answer's tokens, with so many of the likeliest at each.

    Nothing if none were asked for; an entry that cannot be read ends them.
    """
    for entry in _token_entries(body) if count is not None else ():
        token = _token_logprob(entry)
        listed = entry.get("top_logprobs") if isinstance(entry, dict) else None
        if token is None:
            return
        top = map(_token_logprob, listed if isinstance(listed, list) else ())
        yield replace(token, top=tuple(other for other in top if other is not None)[:count])


def _token_logprob(entry: object) -> TokenLogprob | None:
    raw = _token_bytes(entry) if isinstance(entry, dict) else None
    if raw is None or not isinstance(entry, dict) or not is_logprob(entry.get("logprob")):
        return None
    return TokenLogprob(str(entry.get("token")), raw, float(entry["logprob"]))


def _position_behind(body: Body, opening: bytes) -> tuple[int, int]:
    """Find the first token that is not part of an opening. Returns its position, in tokens, bytes.

    An answer that has another opening leads to the token by which it differs.
    """
    written = b""
    for position, entry in enumerate(_token_entries(body)):
        token = _token_bytes(entry) if isinstance(entry, dict) else None
        if not token or written == opening or not opening.startswith(written + token):
            return position, len(written)
        written += token
    return 0, 0


def _is_of(body: Body, position: int, start: int, text: str) -> bool:
    """Whether the token at a position is the one that a text has there, if the server names it.

    Scores of another text, as a server mixes up under load, say nothing of this one.
    """
    entries = _token_entries(body)
    entry = entries[position] if position < len(entries) else None
    named = isinstance(entry, dict) and (entry.get("token") or entry.get("bytes"))
    token = _token_bytes(entry) if named and isinstance(entry, dict) else None
    return not (token and token.strip()) or text.encode()[start:].startswith(token)


def _token_entries(body: Body) -> list[object]:
    choice = first_choice(body)
    logprobs = choice.get("logprobs") if choice is not None else None
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return content if isinstance(content, list) else []


def _message_text(message: Body) -> str:
    """Return the text of a message.

    Raises: UselessAnswerError that says what became of the text.
    """
    text = plain_text(message.get("content"))
    if text and isinstance(refusal := message.get("refusal"), str) and refusal.strip():
        raise UselessAnswerError(f"the model refuses: {refusal[:MAX_EXCERPT]}")
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


def _token_count(value: object) -> int:
    """Read a number of tokens; 0 if the server gives none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < MAX_TOKENS else 0


def _token_bytes(token: Mapping[str, object]) -> bytes | None:
    """Return the bytes of a token; None if they cannot be read."""
    try:
        values = token.get("bytes")
        return (
            bytes(values) if isinstance(values, list) and values else str(token["token"]).encode()
        )
    except (KeyError, TypeError, ValueError):
        return None
