"""Forms of answers in the languages that clients write them in, as llguidance takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from llguidance import LLMatcher

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON on one line: where any space is allowed, a small model may write nothing else."""
LARK_OF: dict[str, Callable[[str], str]] = {
    "lark": str,
    "regex": LLMatcher.grammar_from_regex,
    "json_schema": partial(LLMatcher.grammar_from_json_schema, defaults=JSON_STYLE),
}
"""From each language of a free grammar to what llguidance takes."""
