"""Descs as people choose them, level by level, and the desc that somebody probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from shenhe.config.toml_file import Strict
from shenhe.formats.desc import as_path

CLOSE = 0.5
"""Similarity from which a word may be meant by another; 1 is equal."""
MAX_WORD = 60
"""Length of a level up to which a word is looked for that is like it. Units: characters."""


class DescLevel(Strict):
    """A level of a desc: its name, the values that may stand there and the mark before it.

    It is offered once one of `after` is chosen, always where that is empty. `several` values may be
    chosen at once, and a level of `text` takes any words.
    """

    name: str = Field(min_length=1)
    values: tuple[str, ...] = ()
    mark: Literal["/", ","] = "/"
    after: tuple[str, ...] = ()
    several: bool = False
    text: bool = False


class DescChoices(Strict):
    """A category with its levels, and the kinds of shape that its objects have, the usual first."""

    category: str = Field(min_length=1)
    kinds: tuple[Literal["bbox_2d", "poly", "line"], ...] = Field(min_length=1)
    levels: tuple[DescLevel, ...] = ()


def suggest(desc: str, choices: Sequence[DescChoices]) -> str:
    """Replace each level of a desc by the most similar word of the vocabulary; else leave it.

    >>> choices = [DescChoices(category="电线", kinds=["line"],
    ...     levels=[DescLevel(name="整齐", values=["捆扎整齐", "分布散乱"])])]
    >>> suggest("电线/捆扎整其", choices)
    '电线/捆扎整齐'
    """
    marks = [letter for letter in desc if as_path(letter) == "/"]
    first, *further = as_path(desc).split("/")
    category = _closest(first, [choice.category for choice in choices])
    words = [
        value
        for choice in choices
        if choice.category == category
        for level in choice.levels
        for value in level.values
    ]
    parts = [category, *(_closest(part, words) for part in further)]
    return "".join(mark + part for mark, part in zip(["", *marks], parts, strict=True))


def _closest(word: str, words: Iterable[str]) -> str:
    word = word.strip()
    close = difflib.get_close_matches(word, words, 1, CLOSE) if len(word) <= MAX_WORD else []
    return close[0] if close else word
