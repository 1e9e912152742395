"""Constrained decoding with llguidance: which tokens a grammar allows next, and which it forces."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from shenhe.checkpoints.interfaces import PlainTokenizer
from shenhe.engines.free_forms import LARK_OF
from shenhe.engines.local.corners import Corners
from shenhe.errors import EngineError, ItemError, spelled
from shenhe.messages import FreeGrammar, Grammar, Request

MAX_NARROW = 256
"""Up to this many allowed tokens, only their scores are computed."""
MAX_COMPILED = 256
"""Compiled grammars that are kept: clients may send any number."""


def is_foreign(grammar: Grammar | FreeGrammar) -> bool:
    """Whether a grammar came from a client, and may be of no use."""
    return isinstance(grammar, FreeGrammar) or grammar.is_foreign


def wanted_grammar(request: Request, *, constrain: bool) -> Grammar | FreeGrammar | None:
    """Return the grammar that an answer is held to: a client's also where others are not held."""
    grammar = request.grammar
    return grammar if constrain or isinstance(grammar, FreeGrammar) else None


class Grammars:
    """The grammars of one checkpoint's tokenizer, each compiled once."""

    def __init__(
        self, tokenizer: PlainTokenizer, end_tokens: Sequence[int], vocabulary_size: int
    ) -> None:
        """Read a tokenizer, which takes a second for a large one.

        Raises: EngineError for a tokenizer that llguidance does not take.
        """
        try:
            self._tokenizer = LLTokenizer(
                _whole_text(tokenizer), n_vocab=vocabulary_size, eos_token=list(end_tokens)
            )
        except ValueError as error:
            raise EngineError(
                f"answers cannot be held to their format with this tokenizer: {error};"
                f" {spelled('constrain', False)} lets them be free"
            ) from error
        self.end_tokens, self.vocabulary_size = frozenset(end_tokens), vocabulary_size
        self._decode = tokenizer.decode
        self._compiled: OrderedDict[Grammar | FreeGrammar, LLMatcher] = OrderedDict()
        self._texts: dict[int, str] = {}

    def constraint(self, grammar: Grammar | FreeGrammar) -> Constraint:
        """Start the constraint of one answer.

        Raises: EngineError for a grammar that llguidance does not take, ItemError for a foreign
        one.
        """
        if grammar not in self._compiled:
            self._compiled[grammar] = self._compile(grammar)
            if len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(grammar)
        matcher, corners = self._compiled[grammar].deep_copy(), None
        if isinstance(grammar, Grammar) and grammar.kind == "caption":
            corners = Corners(grammar.highest)
        return Constraint(matcher, self, corners, is_foreign=is_foreign(grammar))

    def _compile(self, grammar: Grammar | FreeGrammar) -> LLMatcher:
        """Compile a grammar, which takes a moment.

        Raises: as `constraint`.
        """
        if isinstance(grammar, Grammar):
            kind, written = str(grammar.kind), grammar.lark
        else:
            kind, written = grammar.language, LARK_OF[grammar.language](grammar.source)
        matcher = LLMatcher(self._tokenizer, written, log_level=0 if is_foreign(grammar) else 1)
        if not (problem := matcher.get_error()):
            return matcher
        if is_foreign(grammar):
            raise ItemError("bad_grammar", f"this grammar cannot be used: {problem}")
        raise EngineError(f"the grammar of a {kind} cannot be used: {problem}")

    def text(self, token: int) -> str:
        """Decode a single token; incomplete characters become U+FFFD."""
        if token not in self._texts:
            self._texts[token] = self._decode([token], skip_special_tokens=False)
        return self._texts[token]


class Constraint:
    """The state of one answer in its grammar."""

    def __init__(
        self,
        matcher: LLMatcher,
        grammars: Grammars,
        corners: Corners | None,
        *,
        is_foreign: bool = False,
    ) -> None:
        self._matcher, self._grammars, self._corners = matcher, grammars, corners
        self._is_foreign = is_foreign

    def allows(self, token: int) -> bool:
        """Whether a token may come next."""
        if token in self._grammars.end_tokens:
            return bool(self._matcher.is_accepting())
        if self._matcher.validate_tokens([token]) != 1:
            return False
        return self.leaves_shape_sound(token)

    def leaves_shape_sound(self, token: int) -> bool:
        """Whether the open box or polygon, if there is one, can become sound behind a token."""
        return self._corners is None or self._corners.allows(self._grammars.text(token))

    def narrow_tokens(self) -> list[int] | None:
        """List the tokens that the grammar allows; None if there are more than MAX_NARROW, or none.

        Some of them may leave the open box or polygon unsound: it costs less to look at the best of
        them than at each, see `leaves_shape_sound`. Captions alone are narrow: lines and reasons
        are free text, where the list only costs time.
        """
        if self._corners is None:
            return None
        words = self._allowed_bits()
        (nonzero,) = words.nonzero()
        if len(nonzero) > MAX_NARROW:
            return None
        bits = np.unpackbits(words[nonzero, None].view(np.uint8), axis=1, bitorder="little")
        word, bit = bits.nonzero()
        if len(word) > MAX_NARROW:
            return None
        tokens: list[int] = (nonzero[word] * 32 + bit).tolist()
        return tokens or None

    def refused_mask(self) -> NDArray[np.bool_]:
        """Mark the tokens that may not come next. Shape: (vocabulary,)."""
        size = self._grammars.vocabulary_size
        allowed = np.unpackbits(self._allowed_bits().view(np.uint8), bitorder="little")[:size]
        if self._corners is not None and self._corners.in_shape:
            for token in allowed.nonzero()[0]:
                allowed[token] = self.leaves_shape_sound(int(token))
        refused: NDArray[np.bool_] = allowed == 0
        return refused

    def advance(self, token: int) -> list[int]:
        """Take an allowed token, and return the tokens that the grammar forces behind it.

        Raises: EngineError if the grammar refuses the token, ItemError for a foreign one.
        """
        if not self._matcher.consume_token(token):
            raise self._error()
        self._follow([token])
        return self.forced_tokens()

    def forced_tokens(self) -> list[int]:
        """Take and return the tokens that the grammar forces next.

        Raises: as `advance`.
        """
        self._check()
        if self._matcher.is_stopped():
            return []
        tokens: list[int] = self._matcher.compute_ff_tokens()
        if tokens:
            self._matcher.consume_tokens(tokens)
            self._follow(tokens)
        return tokens

    @property
    def complete(self) -> bool:
        """Whether nothing but the end may follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        """Check that the grammar has not become too large to go on.

        Raises: as `advance`.
        """
        if self._matcher.is_error():
            raise self._error()

    def _error(self) -> Exception:
        problem = f"the grammar cannot go on: {self._matcher.get_error()}"
        return ItemError("bad_grammar", problem) if self._is_foreign else EngineError(problem)

    def _allowed_bits(self) -> NDArray[np.int32]:
        """Compute the allowed tokens, one bit each. Shape: (words,)."""
        bitmask = allocate_token_bitmask(1, self._grammars.vocabulary_size)
        fill_next_token_bitmask(self._matcher, bitmask)
        self._check()  # or it would allow the end alone
        words: NDArray[np.int32] = bitmask[0]
        return words

    def _follow(self, tokens: list[int]) -> None:
        if self._corners is not None:
            self._corners.advance("".join(map(self._grammars.text, tokens)))


def _whole_text(tokenizer: PlainTokenizer) -> str:
    """Write a tokenizer as JSON, without padding and truncation, which are not part of it."""
    backend = copy(tokenizer.backend_tokenizer)
    backend.no_padding()
    backend.no_truncation()
    return backend.to_str()
