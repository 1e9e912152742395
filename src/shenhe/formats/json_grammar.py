"""The grammar of a summary that is one JSON object on one line, as Lark and as a regex.

Objects have members, and lists hold no numbers: those would be coordinates. What no grammar can
count, as a key that stands twice, the parser refuses.
"""

from __future__ import annotations

from typing import Final

MAX_DEPTH: Final = 5
"""Depth of nested objects and lists."""
MAX_MEMBERS: Final = 64
"""Members of an object, or items of a list, beyond the first."""
MAX_TEXT: Final = 100
"""Units: characters."""
_BREAKS: Final = r"\x00-\x1f\x7f\x85\u2028\u2029"
_CHARACTER: Final = rf'([^"\\<{_BREAKS}]|<+[^"\\<|{_BREAKS}]|\\["\\\/])'
_NUMBER: Final = r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?"
_COMMA, _COLON = '"," " "?', '":" " "?'
START: Final = "object_1"


def _rules() -> str:
    """Return the rules of objects and lists, from the outermost to the innermost."""
    rules = [
        f'STRING: /"{_CHARACTER}{{1,{MAX_TEXT}}}"/',
        f"NUMBER: /{_NUMBER}/",
        'EMPTY: "\\"\\""',
    ]
    for depth in range(1, MAX_DEPTH + 1):
        deeper = f" | object_{depth + 1} | list_{depth + 1}" if depth < MAX_DEPTH else ""
        more = f"{{0,{MAX_MEMBERS}}}"
        rules += [
            f'object_{depth}: "{{" pair_{depth} ({_COMMA} pair_{depth}){more} "}}"',
            f"pair_{depth}: STRING {_COLON} (STRING | NUMBER | EMPTY{deeper})",
        ]
        if depth > 1:
            rules += [
                f'list_{depth}: "[" (item_{depth} ({_COMMA} item_{depth}){more})? "]"',
                f"item_{depth}: STRING{deeper}",
            ]
    return "\n".join(rules) + "\n"


def _regex() -> str:
    """Return a regular expression of the same depth; it counts nothing, and takes lost commas.

    With a pattern once for each member it grows with the depth by 2, with twice by 4.
    """
    string = f'"{_CHARACTER}+"'
    scalar = f'{string}|{_NUMBER}|""'
    values, items = scalar, string
    for _ in range(MAX_DEPTH - 1):
        pair = f"{string}: ?({values})"
        nested = rf"\{{({pair}(, ?)?)+\}}|\[(({items})(, ?)?)*\]"
        values, items = f"{scalar}|{nested}", f"{string}|{nested}"
    pair = f"{string}: ?({values})"
    return rf"\{{({pair}(, ?)?)+\}}"


RULES: Final = _rules()
REGEX: Final = _regex()
