"""The vocabulary of descs as regular expressions: data that users replace without code."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from shenhe.config.desc_choices import DescChoices, suggest
from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError

BUILT_IN = Path(__file__).with_name("vocabulary.toml")
SEPARATORS = "[/,，]"


class Vocabulary(Strict):
    """Patterns of descs; `/` matches any separator of levels.

    `remark` is the pattern of an optional last level, `faults` are the words that state a fault.
    `choices` are descs as people choose them; a remark of theirs begins with `remark_mark`.

        >>> Vocabulary(schema=1, paths=["标签/.+"], remark="备注:.+").knows("标签/4G，备注:模糊")
        True
    """

    schema_: Literal[1] = Field(alias="schema")
    paths: list[str] = Field(min_length=1)
    remark: str = ""
    faults: list[str] = Field(default_factory=list)
    remark_mark: str = ""
    choices: list[DescChoices] = Field(default_factory=list)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The regular expression of each path for a whole desc, remark included."""
        remark = f"(/{self.remark})?" if self.remark else ""
        return tuple(f"({path}){remark}".replace("/", SEPARATORS) for path in self.paths)

    def knows(self, desc: str) -> bool:
        """Whether a desc is one of the paths, with or without a remark."""
        return any(re.fullmatch(pattern, desc) for pattern in self.patterns)

    def suggest(self, desc: str) -> str:
        """Give the known desc that somebody probably meant by another; empty where none is like it.

        >>> load_vocabulary().suggest("BBU设备/华力,显示完整")
        'BBU设备/华为,显示完整'
        """
        meant = suggest(desc, self.choices)
        return meant if meant != desc and self.knows(meant) else ""

    @property
    def hash(self) -> str:
        """The hash of the patterns, 16 hex digits."""
        return hashlib.sha256("\0".join(self.patterns).encode()).hexdigest()[:16]


@cache
def load_vocabulary(path: Path | None = None) -> Vocabulary:
    """Load the built-in vocabulary, or a user's.

    Raises: ConfigError, also for a path that is no regular expression.

        >>> any(re.fullmatch(p, "标签/可以识别") for p in load_vocabulary().patterns)
        True
    """
    vocabulary = read_toml(path or BUILT_IN, Vocabulary)
    for pattern in vocabulary.patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{path}: {pattern!r} is no regular expression: {error}") from error
    return vocabulary
