"""What is wrong with a photo or with its line, in the words that people read instead of a code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shenhe.languages import Words
from shenhe.row_types import Failure
from shenhe.values import LEFT_OUT

PHOTO_WORDS: Final[Mapping[str, Words]] = {
    "missing": Words("找不到照片文件", "the file of the photo is missing"),
    "unreadable": Words("照片文件读不出来", "the file of the photo cannot be read"),
    "empty": Words("照片文件是空的", "the file of the photo is empty"),
    "not_a_photo": Words("这个文件不是照片", "this file is no photo"),
    "unsupported": Words("不支持这种照片格式", "this kind of photo is not supported"),
    "truncated": Words("照片不完整，后半部分缺失", "the photo is cut off: its end is missing"),
    "too_large": Words("照片太大", "the photo is too large"),
    "too_long": Words("照片过于狭长", "the photo is too long and thin"),
    "out_of_memory": Words("内存不够，照片没有打开", "not enough memory to open the photo"),
    "no_photos": Words("组里没有照片", "the group has no photo"),
}
"""Words of the codes of photos that cannot be opened."""
LINE_WORDS: Final[Mapping[str, Words]] = {
    "empty": Words("摘要是空的", "the line is empty"),
    "loop": Words("摘要一直在重复", "the line repeats itself"),
    "truncated": Words("摘要没有写完", "the line was cut off"),
}
"""Words of the codes of lines that the model wrote and that are none."""
VERDICT_WORDS: Final[Mapping[str, str]] = {
    "empty": "回答是空的",
    "thinking": "回答里是思考过程，没有只写结论",
    "verdict_line": "第一行不是单独的结论",
    "reason_missing": "缺少第二行，即理由",
    "reason_prefix": "第二行不以“理由”开头",
    "reason_empty": "理由是空的",
    "extra_lines": "回答多于两行",
    "special_token": "理由里有特殊符号",
}
"""What is wrong with a verdict that breaks the format, in Chinese; English is its own message."""
BAD_LINE: Final = Words("摘要不合格式", "the line breaks the format")
NO_LINE: Final = Words("没有得到摘要", "no line was written")
KIND_WORDS: Final[Mapping[str, Words]] = {
    "broken_link": Words("链接断开", "broken link"),
    "unfinished": Words("没有传完", "not fully received"),
    "unreadable": Words("读不出来", "cannot be read"),
    "unknown": Words("类型不明", "unknown kind"),
}
"""Words of what is known of a file that was not looked at, where that is no kind of file."""
_KIND = re.compile(rf" \(({'|'.join(KIND_WORDS)})\)(?=, |$)")
_MORE = re.compile(r", (\d+) more$")
NOT_LOOKED_AT: Final = Words("未查看", "not looked at")
"""Begins the message about files that were left out."""


def words_of_failure(failure: Failure) -> Words:
    """Say why a photo has no line; its code means another thing where the model wrote a text.

    text = words_of_failure(failure).zh  # "照片不完整，后半部分缺失"
    """
    if failure.raw is not None:
        return LINE_WORDS.get(failure.code, BAD_LINE)
    return PHOTO_WORDS.get(failure.code, NO_LINE)


def words_of_malformed(problem: str) -> Words:
    """Give the words of what is wrong with a verdict: a code and a message, as its row has them.

    >>> words_of_malformed("empty: the verdict is empty")
    Words(zh='回答是空的', en='empty: the verdict is empty')
    """
    code = problem.partition(": ")[0]
    return Words(VERDICT_WORDS.get(code, problem), problem)


def words_of_photo(code: str) -> Words:
    """Give the words of the code of a photo that cannot be opened.

    >>> words_of_photo("empty").zh
    '照片文件是空的'
    """
    return PHOTO_WORDS.get(code, Words(code, code))


def words_of_kind(kind: str) -> Words:
    """Give the words of the kind of a file that was not looked at.

    >>> words_of_kind("unfinished").zh, words_of_kind("zip").zh
    ('没有传完', 'zip')
    """
    return KIND_WORDS.get(kind, Words(kind, kind))


def describe_failed(failure: Failure) -> str:
    """Say in Chinese, as rows do, which item of a group has no line and why.

    problem = describe_failed(failure)  # "img-2.jpg（照片打不开）"
    """
    if failure.code == LEFT_OUT:
        text = failure.message.replace(NOT_LOOKED_AT.en, NOT_LOOKED_AT.zh, 1)
        text = _KIND.sub(lambda match: f"（{words_of_kind(match[1]).zh}）", text)
        return _MORE.sub(r"，另有 \1 个", text)
    return f"{Path(failure.item).name}（{words_of_failure(failure).zh}）"
