"""Ids of groups in the names of their photos, found by a regular expression.

A pattern that takes exponential time on some names is refused: repetitions inside of repetitions,
and alternatives inside of them. Names are at most 255 characters long.
"""

from __future__ import annotations

import math
import re
from typing import Final

from shenhe.errors import OptionError

GROUP: Final = "group"
"""The group of the expression that is the id."""
MAX_NAME: Final = 255
"""Characters of a name; longer ones are of no group."""
MAX_REPEATS: Final = 6
"""Unlimited repetitions in a pattern: each one more multiplies the time of the worst name. One of
nearly any letter counts twice, one side by side with another three times."""

MAX_TIMES: Final = 4
"""Times that a part with a repetition or alternatives in it may be repeated."""

_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:P<\w+>|[:=!>]|<[=!]))?|\)|[|?*+]|\{\d*,?\d*\}|.",
    re.DOTALL,
)
_BROAD: Final = frozenset((".", r"\w", r"\W", r"\D", r"\S"))
_NOT_TAKEN = re.compile(r"\(\?P=|\\[1-9]|\(\?\(|\(\?[a-zA-Z-]*x")


class GroupPattern:
    r"""A regular expression with the group `group`, which is the id of a photo's group.

    >>> pattern = GroupPattern(r"(?P<group>QC-\d+-\d+)_")
    >>> pattern.group_of("QC-20230222-0000297_01.jpg"), pattern.group_of("overview.jpg")
    ('QC-20230222-0000297', '')
    """

    def __init__(self, text: str) -> None:
        """Compile a pattern.

        Raises: OptionError for one that is no regular expression, has no such group, or may take
        for ever.
        """
        self.text = text
        try:
            self._pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise _refusal(text, f"no regular expression: {error}") from error
        if GROUP not in self._pattern.groupindex:
            example = r"(?P<group>QC-\d+-\d+)_"
            raise _refusal(text, f"needs a group of the name {GROUP}, as in {example!r}")
        if problem := _find_explosion(text):
            raise _refusal(text, problem)

    def group_of(self, name: str) -> str:
        """Find the id in the name of a photo, "" without one."""
        match = self._pattern.search(name) if len(name) <= MAX_NAME else None
        found = (match[GROUP] or "") if match else ""
        return "" if found in (".", "..") or not found.strip() else found


def _refusal(text: str, problem: str) -> OptionError:
    return OptionError("group_pattern", text, problem)


def _find_explosion(text: str) -> str:
    """Describe what makes a pattern slow on some names; empty if nothing does."""
    if _NOT_TAKEN.search(text):
        return "back-references, conditions and (?x) are not taken"
    costs = [0]  # of each open bracket: how many choices it holds
    closed = total = 0
    before = ("", "")
    for token in _TOKEN.findall(text):
        limit = _times(token)
        if token == ")":
            closed = costs.pop()
            costs[-1] += closed
        elif limit is None and token.startswith("("):
            costs.append(0)
        elif token in ("|", "?"):
            costs[-1] += 1
        elif limit is not None:
            if closed and limit > MAX_TIMES:
                return "a repetition or alternatives inside of a repetition may take for ever"
            costs[-1] += 1
            total += closed * int(limit) if closed else _weight(*before, limit)
        closed = closed if token == ")" else 0
        before = (before[1], token)
    return "so many repetitions may take for ever" if total > MAX_REPEATS else ""


def _weight(earlier: str, repeated: str, limit: float) -> int:
    """Weigh an unlimited repetition: more where it may share letters with the one before it."""
    if limit != math.inf:
        return 0
    if _times(earlier) == math.inf:
        return 3
    return 2 if repeated in _BROAD or repeated.startswith("[^") else 1


def _times(token: str) -> float | None:
    """How often a repetition repeats at most; None for any other token."""
    if token in ("*", "+"):
        return math.inf
    if len(token) < 2 or token[0] != "{":
        return None
    most = token[1:-1].rpartition(",")[2]
    return int(most[:9]) if most else math.inf
