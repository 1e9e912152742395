"""An answer held to its grammar by llguidance: which tokens may come, which must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from shenhe.engines.local.box_order import BoxOrder
from shenhe.errors import EngineError
from shenhe.messages import Grammar

FEW = 256
"""Where no more tokens than this may come, only their scores are computed."""


class Grammars:
    """The grammars of one checkpoint's tokenizer, each compiled once."""

    def __init__(self, tokenizer: Any, ends: Sequence[int], vocabulary: int) -> None:
        """Read a tokenizer, which takes a second for a large one.

        Raises: EngineError for one that llguidance does not take.
        """
        try:
            self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=list(ends))
        except ValueError as error:
            raise EngineError(
                f"answers cannot be held to their format with this tokenizer: {error};"
                " --no-constrain lets them be free"
            ) from error
        self.ends, self.vocabulary = frozenset(ends), vocabulary
        self._decode = tokenizer.decode
        self._compiled: dict[Grammar, LLMatcher] = {}
        self._texts: dict[int, str] = {}

    def constraint(self, grammar: Grammar) -> Constraint:
        """Begin an answer.

        Raises: EngineError for a grammar that llguidance does not take.
        """
        if grammar not in self._compiled:
            matcher = LLMatcher(self._tokenizer, grammar.lark)
            if problem := matcher.get_error():
                raise EngineError(f"the grammar of a {grammar.kind} cannot be used: {problem}")
            self._compiled[grammar] = matcher
        matcher = self._compiled[grammar].deep_copy()
        order = BoxOrder(grammar.highest) if grammar.kind == "caption" else None
        return Constraint(matcher, self, order)

    def text(self, token: int) -> str:
        """Read a token alone; what is not whole characters reads as the sign of that."""
        if token not in self._texts:
            self._texts[token] = self._decode([token], skip_special_tokens=False)
        return self._texts[token]


class Constraint:
    """One answer that is being written."""

    def __init__(self, matcher: LLMatcher, grammars: Grammars, order: BoxOrder | None) -> None:
        self._matcher, self._grammars, self._order = matcher, grammars, order

    def allows(self, token: int) -> bool:
        """Whether a token may come next."""
        if token in self._grammars.ends:
            return bool(self._matcher.is_accepting())
        if self._matcher.validate_tokens([token]) != 1:
            return False
        return self._order is None or self._order.allows(self._grammars.text(token))

    def few(self) -> list[int] | None:
        """Give the tokens that may come next, in their order; None if they are many, or none.

        Only captions are looked at: lines and reasons are free text, where asking costs time alone.
        """
        if self._order is None:
            return None
        words = self._bits()
        (taken,) = words.nonzero()
        if len(taken) > FEW:
            return None
        bits = np.unpackbits(words[taken, None].view(np.uint8), axis=1, bitorder="little")
        word, bit = bits.nonzero()
        if len(word) > FEW:
            return None
        tokens: list[int] = (taken[word] * 32 + bit).tolist()
        if self._order.within:
            text, order = self._grammars.text, self._order
            tokens = [token for token in tokens if order.allows(text(token))]
        return tokens or None

    def refused(self) -> torch.Tensor:
        """Tell what may not come next. Shape: (vocabulary,), on the CPU."""
        vocabulary = self._grammars.vocabulary
        allowed = np.unpackbits(self._bits().view(np.uint8), bitorder="little")[:vocabulary]
        if self._order is not None and self._order.within:
            for token in allowed.nonzero()[0]:
                allowed[token] = self._order.allows(self._grammars.text(int(token)))
        return torch.from_numpy(allowed == 0)

    def _bits(self) -> Any:
        """Ask for what may come next, a bit a token. Shape: (words,), int32."""
        bits = allocate_token_bitmask(1, self._grammars.vocabulary)
        fill_next_token_bitmask(self._matcher, bits)
        return bits[0]

    def advance(self, token: int) -> list[int]:
        """Take a token that was allowed, and those that the grammar forces behind it.

        Raises: EngineError if it was not.
        """
        if not self._matcher.consume_token(token):
            raise EngineError(
                f"the grammar refuses a token it allowed: {self._matcher.get_error()}"
            )
        self._follow([token])
        return self.forced()

    def forced(self) -> list[int]:
        """Take what the grammar forces from here on."""
        if self._matcher.is_stopped():
            return []
        tokens: list[int] = self._matcher.compute_ff_tokens()
        if tokens:
            self._matcher.consume_tokens(tokens)
            self._follow(tokens)
        return tokens

    def _follow(self, tokens: list[int]) -> None:
        if self._order is not None:
            self._order.advance("".join(map(self._grammars.text, tokens)))

    @property
    def complete(self) -> bool:
        """Whether nothing but the end may come."""
        return bool(self._matcher.is_stopped())
