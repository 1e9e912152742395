"""Pieces that grammars are made of: literals, alternatives, and regexes that all engines read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence


def literal(text: str) -> str:
    r"""Quote a text as Lark does.

    >>> literal("a\n")
    '"a\\n"'
    """
    return json.dumps(text, ensure_ascii=False)


def alternatives(texts: Sequence[str]) -> str:
    """Return the rule of one of several texts.

    >>> alternatives(["a", "b"])
    '"a" | "b"'
    """
    return " | ".join(map(literal, texts))


def regex_of_any(texts: Sequence[str]) -> str:
    """Return the regular expression of one of several texts.

    >>> regex_of_any(["a", "b"])
    'a|b'
    """
    return "|".join(map(escaped, texts))


def escaped(text: str) -> str:
    r"""Escape what means something in regular expressions, and nothing else.

    >>> print(escaped("(1)"))
    \(1\)
    """
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def portable(regex: str) -> str:
    """Write a regular expression so that all engines read it alike.

    >>> portable("[ab]{0,600}")
    '[ab]*'
    """
    # Counted repetitions of long alternatives become automata that take minutes to build.
    regex = re.sub(r"\{0,[0-9]{3}\}", "*", regex)
    regex = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), regex)
    return regex.replace(r"\/", "/")
