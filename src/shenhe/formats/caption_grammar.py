"""The grammar of captions: a constrained model cannot write anything else.

Lark, as llguidance reads it. What no grammar can say (a polygon that crosses itself, a box that is
inverted) `engines.local.corners` holds digit by digit; a pixel beyond a photo's side the parser
refuses.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from shenhe.formats.caption_fields import POLYGON_KEYS, Coordinates
from shenhe.formats.lark import alternatives, literal, portable, regex_of_any
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import COUNT_KEYS, MAX_CORNERS, MIN_CORNERS
from shenhe.messages import Grammar
from shenhe.values import photo_key

MAX_OBJECTS, MAX_POINTS = 200, 64
"""Objects of a photo, points of a line; a model that writes more does not find its end."""
MAX_DESC = 200
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


class Counted(NamedTuple):
    """A shape of any number of points, which is written behind them, or before."""

    key: str
    least: int
    limit: int


_FIXED = {"bbox_2d": 4, "quad": 8}
"""The numbers of shapes whose points are always as many."""
_COUNTED = {
    "line": Counted("line", 2, MAX_POINTS),
    "poly": Counted("poly", MIN_CORNERS, MAX_CORNERS),
}


@lru_cache(maxsize=256)
def of_caption(
    photos: int,
    coordinates: Coordinates = "norm1000",
    descs: tuple[str, ...] = (),
    form: CaptionFormat = PLAIN.caption,
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
    body = " | ".join(style.name for style in STYLES)
    if form.header:
        body = f"({alternatives(form.headers)}) {literal(chr(10))} ({body})"
    lines = [f"start: {body}", f"NUMBER: /{number}/", f"DESC: {desc}"]
    shapes = ("bbox_2d", *POLYGON_KEYS[form.polygons], "line")
    named = photos if form.photo_keys else 0
    for style in STYLES:
        lines += _photo_rules(style, named) + _object_rules(style, shapes)
        lines += [rule for key in shapes if key in _COUNTED for rule in _point_rules(style, key)]
    regex = _caption_regex(named, number, pattern, shapes)
    if form.header:
        regex = rf"({regex_of_any(form.headers)})\n{regex}"
    return Grammar("caption", "\n".join(lines) + "\n", portable(regex), named, highest)


def _caption_regex(photos: int, number: str, pattern: str, shapes: tuple[str, ...]) -> str:
    """Return a regular expression, which does not check the numbers of objects and of points.

    It has no counted repetitions and no look-around, which some servers refuse. White space as
    `json.dumps` writes it; geometry and desc in either order.
    """
    number = f"({number})"
    desc = f'"desc": "({pattern or _VISIBLE + _CHARACTER + "*"})"'
    pair = f"{number}, {number}"
    written = {key: rf'"{key}": \[{", ".join([number] * count)}\]' for key, count in _FIXED.items()}
    for key, counted in _COUNTED.items():
        points = rf'"{key}": \[{", ".join([pair] * (counted.least - 1))}(, {pair})+\]'
        count = f'"{COUNT_KEYS[key]}": [1-9][0-9]?'
        written[key] = f"{points}, {count}|{count}, {points}"
    shape = "(" + "|".join(written[key] for key in shapes) + ")"
    item = rf'"object_[1-9][0-9]?[0-9]?": \{{({shape}, {desc}|{desc}, {shape})\}}'
    photo = rf"\{{({item}(, {item})*)?\}}"
    members = ", ".join(f'"{photo_key(index)}": {photo}' for index in range(photos))
    return rf"\{{{members}\}}" if photos else photo


def _photo_rules(style: Style, photos: int) -> list[str]:
    """Return the rules of a caption's photos, and of a photo's numbered objects.

    Without keys of photos the objects of the only one stand at the top.
    """
    rule = style.rule
    members = []
    for index in range(photos):
        opening = ("{" if index == 0 else style.comma) + f'"{photo_key(index)}"{style.colon}'
        members.append(f"{literal(opening)} {rule('photo')}")
    whole = " ".join([*members, '"}"']) if photos else rule("photo")
    rules = [f"{style.name}: {whole}"]
    first = literal(f'{{"object_1"{style.colon}')
    rules.append(f'{rule("photo")}: "{{}}" | {first} {rule("object")} {rule("more_2")}')
    for number in range(2, MAX_OBJECTS + 1):
        key = literal(f'{style.comma}"object_{number}"{style.colon}')
        rules.append(
            f'{rule(f"more_{number}")}: "}}" | {key} {rule("object")} {rule(f"more_{number + 1}")}'
        )
    rules.append(f'{rule(f"more_{MAX_OBJECTS + 1}")}: "}}"')
    return rules


def _object_rules(style: Style, shapes: tuple[str, ...]) -> list[str]:
    """Return the rules of an object: geometry and desc in either order."""
    shape, comma = style.rule("shape"), literal(style.comma)
    desc = f"""{literal(f'"desc"{style.colon}"')} DESC {literal('"')}"""
    written = []
    for key in shapes:
        opening = literal(f'"{key}"{style.colon}[')
        if key in _FIXED:
            written.append(f"{opening} {_numbers(_FIXED[key], style)} {literal(']')}")
        else:
            least = _COUNTED[key].least
            written += [
                f"{opening} {_numbers(2 * least, style)} {style.rule(f'{key}_{least}')}",
                style.rule(f"{key}_counted"),
            ]
    return [
        f'{style.rule("object")}: "{{" ({shape} {comma} {desc} | {desc} {comma} {shape}) "}}"',
        f"{shape}: " + " | ".join(written),
    ]


def _point_rules(style: Style, key: str) -> list[str]:
    """Return the rules of a shape's points: counted behind them, or before (`left`)."""
    counted, count_key = _COUNTED[key], COUNT_KEYS[key]
    pair = f"{literal(style.comma)} {_numbers(2, style)}"
    rules, counts = [], []
    for points in range(counted.least, counted.limit + 1):
        end = literal(f']{style.comma}"{count_key}"{style.colon}{points}')
        longer = f" | {pair} {style.rule(f'{key}_{points + 1}')}" if points < counted.limit else ""
        rules.append(f"{style.rule(f'{key}_{points}')}: {end}{longer}")
        left = (
            f"{pair} {style.rule(f'{key}_left_{points - 1}')}" if points > counted.least else '"]"'
        )
        rules.append(f"{style.rule(f'{key}_left_{points}')}: {left}")
        start = literal(f'"{count_key}"{style.colon}{points}{style.comma}"{key}"{style.colon}[')
        counts.append(
            f"{start} {_numbers(2 * counted.least, style)} {style.rule(f'{key}_left_{points}')}"
        )
    return [*rules, f"{style.rule(f'{key}_counted')}: " + " | ".join(counts)]


def _numbers(count: int, style: Style) -> str:
    return f" {literal(style.comma)} ".join(["NUMBER"] * count)
