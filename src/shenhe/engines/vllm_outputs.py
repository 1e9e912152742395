"""What vLLM gives for a request, and the log-probabilities in it; read without vLLM."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from shenhe.checkpoints.interfaces import Tokenizer
from shenhe.engines.logprobs import are_plausible, is_logprob
from shenhe.engines.prompts import choice_tokens
from shenhe.engines.token_texts import TokenTexts
from shenhe.messages import TokenLogprob


class VllmLogprob(Protocol):
    """vLLM's Logprob."""

    logprob: float


class VllmCompletion(Protocol):
    """vLLM's CompletionOutput; `logprobs` are by token, for each position."""

    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
    logprobs: Sequence[Mapping[int, VllmLogprob]] | None


class VllmOutput(Protocol):
    """vLLM's RequestOutput."""

    request_id: str
    finished: bool
    prompt_token_ids: Sequence[int]
    outputs: Sequence[VllmCompletion]


def choice_logprobs(
    choices: Sequence[str], completion: VllmCompletion, tokenizer: Tokenizer
) -> dict[str, float]:
    """Look up the log-probability of each choice; one without gets the lowest of the top.

    Empty if the answer does not come to where the choices part, or any of the top values there
    is no log-probability.
    """
    parting = choice_tokens(choices, tokenizer) if choices else None
    position = len(parting.shared) if parting else 0
    written = tuple(completion.token_ids[:position])
    if parting is None or written != parting.shared:
        return {}
    positions = completion.logprobs or ()
    top = positions[position] if len(positions) > position else {}
    tokens = parting.first
    values = {token: getattr(entry, "logprob", None) for token, entry in top.items()}
    # What the grammar refuses is listed too where it allows few tokens.
    values = {token: value for token, value in values.items() if value != -math.inf}
    if not are_plausible(values.values()):
        return {}
    logprobs = {token: float(value) for token, value in values.items() if is_logprob(value)}
    if not logprobs.keys() & tokens.values():
        return {}
    lowest = min(logprobs.values())
    return {choice: logprobs.get(token, lowest) for choice, token in tokens.items()}


def token_logprobs(
    count: int | None, completion: VllmCompletion, tokenizer: Tokenizer
) -> tuple[TokenLogprob, ...]:
    """Read the log-probabilities of an answer's tokens, with so many of the likeliest at each.

    Empty where none were asked for; its end token has none.
    """
    if count is None or not completion.logprobs:
        return ()
    texts, logprobs = TokenTexts(tokenizer), []
    for token, entries in zip(completion.token_ids, completion.logprobs, strict=False):
        if token == tokenizer.eos_token_id or token not in entries:
            continue
        values = {index: entry.logprob for index, entry in entries.items()}
        listed = {index: value for index, value in values.items() if is_logprob(value)}
        best = sorted(listed.items(), key=lambda entry: -entry[1])[:count]
        logprobs.append(texts.logprob([(token, values[token]), *best]))
    return tuple(logprobs)
