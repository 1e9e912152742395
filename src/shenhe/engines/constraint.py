"""An answer held to its grammar by llguidance: which tokens may come, which must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from shenhe.errors import EngineError
from shenhe.records import Grammar


class Grammars:
    """The grammars of one checkpoint's tokenizer, each compiled once."""

    def __init__(self, tokenizer: Any, ends: Sequence[int], vocabulary: int) -> None:
        """Read a tokenizer, which takes a second for a large one."""
        self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=list(ends))
        self._ends, self._vocabulary = frozenset(ends), vocabulary
        self._compiled: dict[Grammar, LLMatcher] = {}

    def constraint(self, grammar: Grammar) -> Constraint:
        """Begin an answer.

        Raises: EngineError for a grammar that llguidance does not take.
        """
        if grammar not in self._compiled:
            matcher = LLMatcher(self._tokenizer, grammar.lark)
            if problem := matcher.get_error():
                raise EngineError(f"the grammar of {grammar.kind}s cannot be used: {problem}")
            self._compiled[grammar] = matcher
        return Constraint(self._compiled[grammar].deep_copy(), self._ends, self._vocabulary)


class Constraint:
    """One answer that is being written."""

    def __init__(self, matcher: LLMatcher, ends: frozenset[int], vocabulary: int) -> None:
        self._matcher, self._ends, self._vocabulary = matcher, ends, vocabulary

    def allows(self, token: int) -> bool:
        """Whether a token may come next."""
        if token in self._ends:
            return bool(self._matcher.is_accepting())
        return bool(self._matcher.validate_tokens([token]) == 1)

    def refused(self) -> torch.Tensor:
        """Tell what may not come next. Shape: (vocabulary,), on the CPU."""
        bits = allocate_token_bitmask(1, self._vocabulary)
        fill_next_token_bitmask(self._matcher, bits)
        allowed = np.unpackbits(bits.view(np.uint8), bitorder="little")[: self._vocabulary]
        return torch.from_numpy(allowed == 0)

    def advance(self, token: int) -> list[int]:
        """Take a token that was allowed, and those that the grammar forces behind it.

        Raises: EngineError if it was not.
        """
        if not self._matcher.consume_token(token):
            raise EngineError(
                f"the grammar refuses a token it allowed: {self._matcher.get_error()}"
            )
        return self.forced()

    def forced(self) -> list[int]:
        """Take what the grammar forces from here on."""
        if self._matcher.is_stopped():
            return []
        tokens: list[int] = self._matcher.compute_ff_tokens()
        if tokens:
            self._matcher.consume_tokens(tokens)
        return tokens

    @property
    def complete(self) -> bool:
        """Whether nothing but the end may come."""
        return bool(self._matcher.is_stopped())
