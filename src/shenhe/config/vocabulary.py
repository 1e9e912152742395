"""What a desc may be, as regular expressions: data that users replace without touching code."""

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
    """Paths of levels; `/` in a path is any separator of levels. `faults` are words of them."""

    schema_: Literal[1] = Field(alias="schema")
    paths: list[str] = Field(min_length=1)
    remark: str = ""
    faults: list[str] = Field(default_factory=list)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Give each path as a regular expression for a whole desc, remarks included."""
        behind = f"(/{self.remark})?" if self.remark else ""
        return tuple(f"({path}){behind}".replace("/", SEPARATORS) for path in self.paths)

    @property
    def hash(self) -> str:
        """Fingerprint the patterns, 16 hex digits."""
        return hashlib.sha256("\0".join(self.patterns).encode()).hexdigest()[:16]


def load_vocabulary(path: Path | None = None) -> Vocabulary:
    """Load the built-in vocabulary, or a user's.

    Raises: ConfigError, also for a path that is no regular expression.
    """
    found = read_toml(path or BUILT_IN, Vocabulary)
    for pattern in found.patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{path}: {pattern!r} is no regular expression: {error}") from error
    return found
