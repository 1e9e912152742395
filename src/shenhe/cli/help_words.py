"""The help in Chinese, where that is spoken, and its lines as wide as they look.

The texts lie in help.zh.toml, by the English ones of the declarations; nothing is read for English.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from shenhe.languages import current_language

_NEVER_FIRST: Final = "，。；：、？！）】》”’,.;:?!)]}>"
_NEVER_LAST: Final = "（【《“‘([{<"


@cache
def chinese_help() -> Mapping[str, str]:
    """Read the Chinese texts, by the English ones.

    >>> chinese_help()["show the traceback of an error"]
    '出错时显示调用栈'
    """
    import tomllib  # for Chinese help alone

    return tomllib.loads(Path(__file__).with_name("help.zh.toml").read_text(encoding="utf-8"))


def in_help(text: str) -> str:
    """Give a text of the help in the language that is spoken.

    >>> in_help("options")
    'options'
    """
    return chinese_help().get(text, text) if current_language() == "zh" else text


def summary_in_help(summary: str, description: str) -> str:
    """Give the summary of a command: in Chinese it is the description, which is a sentence."""
    translated = in_help(description)
    return summary if translated == description else translated.removesuffix("。")


def wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of a width in columns, of which a Chinese character takes two.

    A line of Chinese may end behind any character but an opening mark, and begin with any but a
    closing one.

        >>> wrapped("照片目录 DIR，可以是 URL", 12)
        ['照片目录', 'DIR，可以是', 'URL']
    """
    lines, line = [], ""
    for part in _unbreakable(text):
        if line and _columns((line + part).rstrip()) > width:
            lines.append(line.rstrip())
            line = part.lstrip()
        else:
            line += part
    return [*lines, line.rstrip()]


def _unbreakable(text: str) -> Iterator[str]:
    """Yield words, with the blank behind them, and single wide characters, with marks behind."""
    part = ""
    for character in text:
        ends = part and (_is_wide(part[-1]) or _is_wide(character) or part[-1] == " ")
        if ends and character not in _NEVER_FIRST + " " and part[-1] not in _NEVER_LAST:
            yield part
            part = ""
        part += character
    if part:
        yield part


def _columns(text: str) -> int:
    return sum(2 if _is_wide(character) else 1 for character in text)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
