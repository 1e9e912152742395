"""The formats as grammars: a constrained model cannot write anything else.

Lark, as llguidance reads it. Parsers refuse afterwards what no grammar can (a quad that crosses
itself, a pixel beyond a photo's side); the engine keeps the corners of boxes in order, digit by
digit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from shenhe.formats import json_grammar, summary
from shenhe.formats.caption import Coordinates
from shenhe.formats.summary import NOTHING_RELEVANT
from shenhe.formats.text_formats import PLAIN, SummaryFormat, VerdictFormat
from shenhe.messages import Grammar
from shenhe.values import photo_key

MAX_OBJECTS, MAX_POINTS = 200, 64
"""Objects of a photo, points of a line; a model that writes more does not find its end."""
MAX_DESC, MAX_LINE, MAX_REASON = 200, 600, 400
"""Units: characters."""
_NUMBERS: dict[Coordinates, tuple[int, str]] = {
    "norm1000": (1000, "0|[1-9][0-9]{0,2}|1000"),
    "norm100": (100, "0|[1-9][0-9]?|100"),
    "pixel": (99_999, "0|[1-9][0-9]{0,4}"),
}
"""The largest number, and the regular expression of all."""
# JSON forbids control characters; of the escapes, these are the ones that models write.
_CHARACTER = r'([^"\\\x00-\x1f\x7f]|\\["\\\/])'
_VISIBLE = r'([^"\\\x00-\x20\x7f\u3000]|\\["\\\/])'
_BREAKS = r"\x00-\x1f\x7f\x85\u2028\u2029"
_NO_TOKEN = rf"<+[^{_BREAKS}<|]"
"""A `<` and the character behind it: no special token can be spelled."""


class Style(NamedTuple):
    """White space of JSON: between members, and behind keys."""

    name: str
    comma: str
    colon: str

    def rule(self, name: str) -> str:
        """Return the name of a rule of this style."""
        return f"{self.name}_{name}"


SPACED = Style("spaced", ", ", ": ")
"""The default of `json.dumps`."""
COMPACT = Style("compact", ",", ":")
STYLES = (SPACED, COMPACT)


@lru_cache(maxsize=256)
def of_caption(
    photos: int, coordinates: Coordinates = "norm1000", descs: tuple[str, ...] = ()
) -> Grammar:
    """Return the grammar of grouped JSON of a number of photos, in either style.

    An object's geometry and desc come in either order. `descs` are regular expressions: if there
    are any, each desc must match one of them whole.

        >>> of_caption(2).photos
        2
    """
    highest, number = _NUMBERS[coordinates]
    pattern = "|".join(f"({desc})" for desc in descs).replace("/", r"\/")
    desc = f"/{_VISIBLE}{_CHARACTER}{{0,{MAX_DESC - 1}}}/"
    # A pattern's own `.` must not match beyond the string.
    desc = f"/{pattern}/ & /{_CHARACTER}*/" if pattern else desc
    lines = [
        "start: " + " | ".join(style.name for style in STYLES),
        f"NUMBER: /{number}/",
        f"DESC: {desc}",
    ]
    for style in STYLES:
        lines += _photo_rules(style, photos) + _object_rules(style) + _line_rules(style)
    regex = _caption_regex(photos, number, pattern)
    return Grammar("caption", "\n".join(lines) + "\n", regex, photos, highest)


@lru_cache(maxsize=16)
def of_summary(form: SummaryFormat = PLAIN.summary) -> Grammar:
    """Return the grammar of answers that `summary.parse` accepts."""
    body, rules, regex = _summary_body(form)
    if not form.header:
        return Grammar("summary", f"start: {body}\n{rules}", _portable(regex))
    start = f"({_alternatives(form.headers)}) {_literal(chr(10))} {body}"
    start += f" | {_literal(NOTHING_RELEVANT)}"
    regex = f"(({_regex_of_any(form.headers)})\\n{regex}|{NOTHING_RELEVANT})"
    return Grammar("summary", f"start: {start}\n{rules}", _portable(regex))


def _summary_body(form: SummaryFormat) -> tuple[str, str, str]:
    """Return what stands below a header: the start of a grammar, its rules, a regex of all."""
    if form.wrapper == "json":
        return json_grammar.START, json_grammar.RULES, json_grammar.REGEX
    # Text inside JSON is held to characters that need no escape, and spell no JSON of their own.
    line = _line(r"""{}"'\\""" if form.wrapper == "keyed" else "")
    rule = f"LINE: /{line}/\n"
    if form.wrapper == "line":
        return "LINE", rule, line
    opening = f'{{"{summary.key_of(form, 1)}":'
    start = f'{_literal(opening)} " "? {_literal(chr(34))} LINE {_literal(chr(34) + "}")}'
    return start, rule, rf'{_escaped(opening)} ?"{line}"\}}'


def _line(further: str) -> str:
    """Return a regular expression of a line without coordinates, and without further characters."""
    number = r"[0-9]+(\.[0-9]+)?"
    # Brackets may hold one number, and no second one.
    open_brackets = rf"([\[(（][ \u3000]*({number}[ \u3000]*)?)+"
    no_token = rf"<+[^{_BREAKS}{further}<|]"
    behind = rf"([^{_BREAKS}{further}<\[(（0-9 \u3000.,，]|{no_token})"
    item = rf"([^{_BREAKS}{further}<\[(（]|{no_token}|{open_brackets}{behind})"
    first = rf"([^{_BREAKS}{further}<\[(（ \u3000]|{no_token}|{open_brackets}{behind})"
    return f"{first}{item}{{0,{MAX_LINE - 1}}}({open_brackets})?"


@lru_cache(maxsize=16)
def of_verdict(form: VerdictFormat = PLAIN.verdict) -> Grammar:
    """Return the grammar of the two lines that `verdict.parse` accepts, with the first marks."""
    first, item = (rf"([^{_BREAKS}<{blank}]|{_NO_TOKEN})" for blank in (r" \u3000", ""))
    reason = f"{first}{item}{{0,{MAX_REASON - 1}}}"
    mark = form.reason_marks[0]
    rules = [
        f'start: ({_alternatives(form.openings)}) {_literal(chr(10) + mark)} REASON "\\n"?',
        f"REASON: /{reason}/",
    ]
    regex = _portable(rf"({_regex_of_any(form.openings)})\n{_escaped(mark)}{reason}")
    return Grammar("verdict", "\n".join(rules) + "\n", regex)


def _alternatives(texts: Sequence[str]) -> str:
    return " | ".join(map(_literal, texts))


def _regex_of_any(texts: Sequence[str]) -> str:
    return "|".join(map(_escaped, texts))


def _escaped(text: str) -> str:
    """Escape what means something in regular expressions, and nothing else."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def _caption_regex(photos: int, number: str, pattern: str) -> str:
    """Return a regular expression, which does not check the numbers of objects and of points.

    It has no counted repetitions and no look-around, which some servers refuse. White space as
    `json.dumps` writes it; geometry and desc in either order.
    """
    number = f"({number})"
    desc = f'"desc": "({pattern or _VISIBLE + _CHARACTER + "*"})"'
    box, quad, pair = (
        ", ".join([number] * 4),
        ", ".join([number] * 8),
        f"{number}, {number}",
    )
    line = rf'"line": \[{pair}(, {pair})+\]'
    count = '"line_points": [1-9][0-9]?'
    shapes = (
        rf'"bbox_2d": \[{box}\]',
        rf'"quad": \[{quad}\]',
        f"{line}, {count}",
        f"{count}, {line}",
    )
    shape = "(" + "|".join(shapes) + ")"
    item = rf'"object_[1-9][0-9]?[0-9]?": \{{({shape}, {desc}|{desc}, {shape})\}}'
    photo = rf"\{{({item}(, {item})*)?\}}"
    members = ", ".join(f'"{photo_key(index)}": {photo}' for index in range(photos))
    return _portable(rf"\{{{members}\}}")


def _portable(regex: str) -> str:
    """Write a regular expression so that all engines read it alike."""
    # Counted repetitions of long alternatives become automata that take minutes to build.
    regex = re.sub(r"\{0,[0-9]{3}\}", "*", regex)
    regex = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), regex)
    return regex.replace(r"\/", "/")


def _photo_rules(style: Style, photos: int) -> list[str]:
    """Return the rules of a caption's photos, and of a photo's numbered objects."""
    rule = style.rule
    members = []
    for index in range(photos):
        opening = ("{" if index == 0 else style.comma) + f'"{photo_key(index)}"{style.colon}'
        members.append(f"{_literal(opening)} {rule('photo')}")
    rules = [f"{style.name}: " + " ".join([*members, '"}"'])]
    first = _literal(f'{{"object_1"{style.colon}')
    rules.append(f'{rule("photo")}: "{{}}" | {first} {rule("object")} {rule("more_2")}')
    for number in range(2, MAX_OBJECTS + 1):
        key = _literal(f'{style.comma}"object_{number}"{style.colon}')
        rules.append(
            f'{rule(f"more_{number}")}: "}}" | {key} {rule("object")} {rule(f"more_{number + 1}")}'
        )
    rules.append(f'{rule(f"more_{MAX_OBJECTS + 1}")}: "}}"')
    return rules


def _object_rules(style: Style) -> list[str]:
    """Return the rules of an object: geometry and desc in either order."""
    shape, comma = style.rule("shape"), _literal(style.comma)
    desc = f"""{_literal(f'"desc"{style.colon}"')} DESC {_literal('"')}"""
    box, quad, line = (_literal(f'"{kind}"{style.colon}[') for kind in ("bbox_2d", "quad", "line"))
    four, eight, end = _numbers(4, style), _numbers(8, style), _literal("]")
    return [
        f'{style.rule("object")}: "{{" ({shape} {comma} {desc} | {desc} {comma} {shape}) "}}"',
        f"{shape}: {box} {four} {end}"
        f" | {quad} {eight} {end}"
        f" | {line} {four} {style.rule('points_2')}"
        f" | {style.rule('counted')}",
    ]


def _line_rules(style: Style) -> list[str]:
    """Return the rules of a line's points: counted behind them (`points`), or before (`left`)."""
    rule, pair = style.rule, f"{_literal(style.comma)} {_numbers(2, style)}"
    rules, counts = [], []
    for points in range(2, MAX_POINTS + 1):
        end = _literal(f']{style.comma}"line_points"{style.colon}{points}')
        longer = f" | {pair} {rule(f'points_{points + 1}')}" if points < MAX_POINTS else ""
        rules.append(f"{rule(f'points_{points}')}: {end}{longer}")
        left = f"{pair} {rule(f'left_{points - 1}')}" if points > 2 else '"]"'
        rules.append(f"{rule(f'left_{points}')}: {left}")
        start = _literal(f'"line_points"{style.colon}{points}{style.comma}"line"{style.colon}[')
        counts.append(f"{start} {_numbers(4, style)} {rule(f'left_{points}')}")
    return [*rules, f"{rule('counted')}: " + " | ".join(counts)]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _numbers(count: int, style: Style) -> str:
    return f" {_literal(style.comma)} ".join(["NUMBER"] * count)
