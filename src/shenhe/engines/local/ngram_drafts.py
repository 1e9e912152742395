"""N-gram speculation: drafts of the next tokens from earlier answers, verified in one pass.

Answers about photos of one kind repeat the same phrases. A correct draft token costs no forward
pass of its own; a wrong one changes nothing, since the model's own token is taken instead.
"""

from __future__ import annotations

from collections.abc import Sequence

ORDER = 4
"""Length of the context that predicts the next token. Units: tokens."""
MIN_REPEATS = 2
"""A continuation is proposed after this many occurrences in a row."""
MAX_DRAFT = 8
MAX_NGRAMS = 200_000


class NgramDrafts:
    """N-gram statistics over all answers of an engine."""

    def __init__(self) -> None:
        self._next: dict[tuple[int, ...], tuple[int, int]] = {}

    def learn(self, tokens: Sequence[int], start: int) -> None:
        """Count the continuations of an answer, from the token at `start` on."""
        if len(self._next) > MAX_NGRAMS:
            self._next.clear()
        for index in range(max(start, ORDER), len(tokens)):
            context, token = tuple(tokens[index - ORDER : index]), tokens[index]
            previous, repeats = self._next.get(context, (token, 0))
            self._next[context] = (token, repeats + 1 if previous == token else 1)

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        """Propose at most `limit` tokens behind an answer; none without a sure continuation."""
        draft: list[int] = []
        context = tuple(tokens[-ORDER:])
        while len(context) == ORDER and len(draft) < min(limit, MAX_DRAFT):
            token, repeats = self._next.get(context, (0, 0))
            if repeats < MIN_REPEATS:
                break
            draft.append(token)
            context = (*context[1:], token)
        return draft
