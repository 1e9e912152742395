"""The text and the bytes of single tokens, as log-probabilities name them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from shenhe.checkpoints.interfaces import PlainTokenizer
from shenhe.messages import TokenLogprob

ScoredTokens = Sequence[tuple[int, float]]
"""Tokens and their log-probabilities: the token of an answer, then the likeliest in its place."""


class TokenTexts:
    """Reads tokens of a byte-level tokenizer one by one, as many are no whole characters."""

    def __init__(self, tokenizer: PlainTokenizer) -> None:
        self._tokenizer, self._known = tokenizer, dict[int, tuple[str, bytes]]()

    def logprob(self, scored: ScoredTokens) -> TokenLogprob:
        """Name a token of an answer and those in its place."""
        (text, raw, logprob), *top = [(*self._text(token), value) for token, value in scored]
        return TokenLogprob(text, raw, logprob, tuple(TokenLogprob(*entry) for entry in top))

    def _text(self, token: int) -> tuple[str, bytes]:
        if token not in self._known:
            text = self._tokenizer.decode([token], skip_special_tokens=False)
            raw = text.encode()
            if "\ufffd" in text:
                name, bytes_of = self._tokenizer.convert_ids_to_tokens(token), _bytes_by_character()
                raw = bytes(bytes_of.get(character, ord("?")) for character in name)
            self._known[token] = text, raw
        return self._known[token]


@lru_cache(1)
def _bytes_by_character() -> dict[str, int]:
    """Map the characters that stand for bytes in the names of tokens, as GPT-2 has begun it."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    characters = {chr(byte): byte for byte in shown}
    return characters | {chr(256 + place): byte for place, byte in enumerate(hidden)}
