"""The vocabulary of descs as regular expressions: data that users replace without code."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError

BUILT_IN = Path(__file__).with_name("vocabulary.toml")
SEPARATORS = "[/,，]"


class Vocabulary(Strict):
    """Patterns of descs; `/` matches any separator of levels.

    `remark` is the pattern of an optional last level, `faults` are the words that state a fault.

    Example:
        Vocabulary(schema=1, paths=["标签/(可以识别|无法识别)"], remark="备注:.+")

    """

    schema_: Literal[1] = Field(alias="schema")
    paths: list[str] = Field(min_length=1)
    remark: str = ""
    faults: list[str] = Field(default_factory=list)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The regular expression of each path for a whole desc, remark included."""
        remark = f"(/{self.remark})?" if self.remark else ""
        return tuple(f"({path}){remark}".replace("/", SEPARATORS) for path in self.paths)

    @property
    def hash(self) -> str:
        """The hash of the patterns, 16 hex digits."""
        return hashlib.sha256("\0".join(self.patterns).encode()).hexdigest()[:16]


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
