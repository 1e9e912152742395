"""Guesses at what comes next, from what was written before: the model checks them all at once.

Answers about the same kind of photos are made of the same phrases. A guess that is right costs no
pass of its own, one that is wrong changes nothing: the model's own token is taken instead.
"""

from __future__ import annotations

from collections.abc import Sequence

ORDER = 4
"""A phrase is known by its last so many tokens."""
SURE = 2
"""What followed so often in a row is guessed to follow again."""
LONGEST = 8
REMEMBERED = 200_000


class Drafts:
    """Which token followed on which, over all answers of an engine."""

    def __init__(self) -> None:
        self._next: dict[tuple[int, ...], tuple[int, int]] = {}

    def learn(self, written: Sequence[int], since: int) -> None:
        """Note what follows on what, from the token at `since` on."""
        if len(self._next) > REMEMBERED:
            self._next.clear()
        for at in range(max(since, ORDER), len(written)):
            context, token = tuple(written[at - ORDER : at]), written[at]
            before, times = self._next.get(context, (token, 0))
            self._next[context] = (token, times + 1 if before == token else 1)

    def guess(self, written: Sequence[int], most: int) -> list[int]:
        """Guess at most so many tokens; none where nothing is sure."""
        found: list[int] = []
        context = tuple(written[-ORDER:])
        while len(context) == ORDER and len(found) < min(most, LONGEST):
            token, times = self._next.get(context, (0, 0))
            if times < SURE:
                break
            found.append(token)
            context = (*context[1:], token)
        return found
