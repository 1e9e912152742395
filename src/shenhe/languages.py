"""The languages that people read shenhe in, and the one that an environment asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple, get_args

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables of the environment that name a language, the strongest first."""


def language_of(environment: Mapping[str, str] | None = None) -> Language | None:
    """Give the language that the environment asks for; None where it asks for neither.

    Default: the environment of this process. The first variable that is set counts.

    >>> language_of({"LANG": "zh_CN.UTF-8"})
    'zh'
    >>> language_of({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) is None
    True
    """
    variables = os.environ if environment is None else environment
    name = next(filter(None, (variables.get(variable) for variable in VARIABLES)), "")
    return next((language for language in LANGUAGES if name.casefold().startswith(language)), None)


_spoken: list[Language | None] = [None]


def current_language() -> Language | None:
    """Give the language that this process speaks; None where nobody has asked for one.

    The command line asks for one, by `--lang` or by the environment. In Python code nobody does
    but for `speaking`: messages are English then.
    """
    return _spoken[-1]


def page_language() -> Language:
    """Give the language of pages and sheets for people: Chinese where nobody has asked for one.

    >>> page_language()
    'zh'
    """
    return current_language() or "zh"


@contextmanager
def speaking(language: Language | None) -> Iterator[None]:
    """Have messages and pages in one language meanwhile, in all threads of the process.

    >>> with speaking("zh"):
    ...     current_language()
    'zh'
    """
    _spoken.append(language)
    try:
        yield
    finally:
        _spoken.remove(language)


class Words(NamedTuple):
    """A text in both languages."""

    zh: str
    en: str

    def spoken(self, joint: str = " ") -> str:
        """Write it in the language that is spoken; in both where nobody has asked for one.

        >>> Words("任务", "mission").spoken()
        '任务 mission'
        """
        language = current_language()
        if language is None:
            return f"{self.zh}{joint}{self.en}"
        return self.zh if language == "zh" else self.en

    def lines(self) -> list[str]:
        """Write a sentence a line, the English one indented below the Chinese one."""
        return self.spoken("\0  ").split("\0")

    def told(self) -> str:
        """Write it as messages are: in English, but where Chinese is spoken."""
        return self.zh if current_language() == "zh" else self.en
