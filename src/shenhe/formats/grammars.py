"""The formats as grammars: a model that is held to one cannot write anything else.

Lark, as llguidance reads it. What the parsers refuse and no grammar can (a quad that crosses
itself, a pixel beyond a photo's side) is found by them afterwards; boxes are put right by the
engine, digit by digit.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from shenhe.formats import verdict
from shenhe.formats.caption import Coordinates
from shenhe.messages import Grammar
from shenhe.values import FAIL, PASS, photo_key

MAX_OBJECTS, MAX_POINTS = 200, 64
"""More on one photo, or on one line, is a model that does not find its end."""
MAX_DESC, MAX_LINE, MAX_REASON = 200, 600, 400
"""Units: characters."""
_NUMBERS: dict[Coordinates, tuple[int, str]] = {
    "norm1000": (1000, "0|[1-9][0-9]{0,2}|1000"),
    "norm100": (100, "0|[1-9][0-9]?|100"),
    "pixel": (99_999, "0|[1-9][0-9]{0,4}"),
}
"""The highest number, and how numbers are written."""
# JSON leaves out control characters; of the escapes, those that models write.
_CHARACTER = r'([^"\\\x00-\x1f\x7f]|\\["\\\/])'
_VISIBLE = r'([^"\\\x00-\x20\x7f\u3000]|\\["\\\/])'
_BREAKS = r"\x00-\x1f\x7f\x85\u2028\u2029"
_NO_TOKEN = rf"<+[^{_BREAKS}<|]"
"""What may follow on `<`, so that no special token can be spelled."""
STYLES = {"spaced": (", ", ": "), "compact": (",", ":")}
"""Between members and behind keys: json.dumps' own way, and the one without white space."""


@lru_cache(maxsize=256)
def of_caption(
    photos: int, coordinates: Coordinates = "norm1000", descs: tuple[str, ...] = ()
) -> Grammar:
    """Grouped JSON of exactly so many photos, in either style, with keys in either order.

    `descs` are regular expressions: with any, a desc is what one of them matches, whole.
    """
    highest, number = _NUMBERS[coordinates]
    given = "|".join(f"({pattern})" for pattern in descs).replace("/", r"\/")
    desc = f"/{_VISIBLE}{_CHARACTER}{{0,{MAX_DESC - 1}}}/"
    # A pattern's own `.` must not run beyond the string.
    desc = f"/{given}/ & /{_CHARACTER}*/" if given else desc
    lines = [
        "start: " + " | ".join(STYLES),
        f"NUMBER: /{number}/",
        f"DESC: {desc}",
    ]
    for style, (comma, colon) in STYLES.items():
        lines += _caption_rules(style, comma, colon, photos)
    regex = _caption_regex(photos, number, given)
    return Grammar("caption", "\n".join(lines) + "\n", regex, photos, highest)


@lru_cache(maxsize=1)
def of_summary() -> Grammar:
    """One line without coordinates and special tokens, as `summary.parse` has it."""
    number = r"[0-9]+(\.[0-9]+)?"
    # Brackets may hold a number, and may not go on to a second one.
    open_brackets = rf"([\[(（][ \u3000]*({number}[ \u3000]*)?)+"
    behind = rf"([^{_BREAKS}<\[(（0-9 \u3000.,，]|{_NO_TOKEN})"
    item = rf"([^{_BREAKS}<\[(（]|{_NO_TOKEN}|{open_brackets}{behind})"
    first = rf"([^{_BREAKS}<\[(（ \u3000]|{_NO_TOKEN}|{open_brackets}{behind})"
    line = f"{first}{item}{{0,{MAX_LINE - 1}}}({open_brackets})?"
    return Grammar("summary", f"start: LINE\nLINE: /{line}/\n", _portable(line))


@lru_cache(maxsize=1)
def of_verdict() -> Grammar:
    """Two lines and nothing else: what `verdict.parse` takes."""
    first, item = (rf"([^{_BREAKS}<{blank}]|{_NO_TOKEN})" for blank in (r" \u3000", ""))
    reason = f"{first}{item}{{0,{MAX_REASON - 1}}}"
    rules = [
        f'start: ("{PASS}" | "{FAIL}") "\\n{verdict.REASON_PREFIX}" REASON "\\n"?',
        f"REASON: /{reason}/",
    ]
    regex = _portable(rf"({PASS}|{FAIL})\n{verdict.REASON_PREFIX}{reason}")
    return Grammar("verdict", "\n".join(rules) + "\n", regex)


def _caption_regex(photos: int, number: str, given: str) -> str:
    """Say what a regular expression can: objects may be numbered oddly, lines counted wrongly.

    Without counted repetitions and look-around, which some servers do not take. Written with white
    space as `json.dumps` does; geometry and desc come in either order.
    """
    number = f"({number})"
    desc = f'"desc": "({given or _VISIBLE + _CHARACTER + "*"})"'
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
    thing = rf'"object_[1-9][0-9]?[0-9]?": \{{({shape}, {desc}|{desc}, {shape})\}}'
    photo = rf"\{{({thing}(, {thing})*)?\}}"
    members = ", ".join(f'"{photo_key(index)}": {photo}' for index in range(photos))
    return _portable(rf"\{{{members}\}}")


def _portable(regex: str) -> str:
    """Spell a regular expression so that engines of every kind read it alike."""
    # Counted repetitions of long alternatives make automata that take minutes to build.
    regex = re.sub(r"\{0,[0-9]{3}\}", "*", regex)
    regex = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), regex)
    return regex.replace(r"\/", "/")


def _caption_rules(style: str, comma: str, colon: str, photos: int) -> list[str]:
    def word(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)

    def named(rule: str) -> str:
        return f"{style}_{rule}"

    members = []
    for index in range(photos):
        opening = ("{" if index == 0 else comma) + f'"{photo_key(index)}"{colon}'
        members.append(f"{word(opening)} {named('photo')}")
    rules = [f"{style}: " + " ".join([*members, '"}"'])]
    first = f'{{"object_1"{colon}'
    rules.append(f'{named("photo")}: "{{}}" | {word(first)} {named("object")} {named("more_2")}')
    for number in range(2, MAX_OBJECTS + 1):
        further = f'{comma}"object_{number}"{colon}'
        rules.append(
            f'{named(f"more_{number}")}: "}}"'
            f" | {word(further)} {named('object')} {named(f'more_{number + 1}')}"
        )
    rules.append(f'{named(f"more_{MAX_OBJECTS + 1}")}: "}}"')
    said = f"{word(f'{chr(34)}desc{chr(34)}{colon}{chr(34)}')} DESC {word(chr(34))}"
    shape, between = named("shape"), word(comma)
    rules.append(
        f'{named("object")}: "{{" ({shape} {between} {said} | {said} {between} {shape}) "}}"'
    )
    box, quad, line = (f'"{kind}"{colon}[' for kind in ("bbox_2d", "quad", "line"))
    rules.append(
        f"{shape}: {word(box)} {_numbers(4, comma)} {word(']')}"
        f" | {word(quad)} {_numbers(8, comma)} {word(']')}"
        f" | {word(line)} {_numbers(4, comma)} {named('points_2')}"
        f" | {named('counted')}"
    )
    counts = []
    for points in range(2, MAX_POINTS + 1):
        end = word(f']{comma}"line_points"{colon}{points}')
        longer = f" | {between} {_numbers(2, comma)} {named(f'points_{points + 1}')}"
        rules.append(
            f"{named(f'points_{points}')}: {end}" + (longer if points < MAX_POINTS else "")
        )
        # The other way round the count comes first, and the points are as many as it says.
        left = (
            f"{between} {_numbers(2, comma)} {named(f'left_{points - 1}')}" if points > 2 else '"]"'
        )
        rules.append(f"{named(f'left_{points}')}: {left}")
        start = word(f'"line_points"{colon}{points}{comma}"line"{colon}[')
        counts.append(f"{start} {_numbers(4, comma)} {named(f'left_{points}')}")
    rules.append(f"{named('counted')}: " + " | ".join(counts))
    return rules


def _numbers(count: int, comma: str) -> str:
    return f" {json.dumps(comma)} ".join(["NUMBER"] * count)
