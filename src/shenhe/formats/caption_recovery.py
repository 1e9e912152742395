"""What is certain of a caption that does not keep its format: complete objects, repairs listed.

Nothing is invented: an object is taken whole or dropped with its reason, and a text of which
nothing remains is an error, never an empty caption.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import box_tokens, caption
from shenhe.formats.caption_tokens import Token, tokens
from shenhe.geometry import Quad, Size, clockwise_from_top_left, crosses_itself
from shenhe.records import Caption, CaptionObject, photo_key

LOOP = 3
"""An object written so often, alike to the last digit, is a model in a loop, not so many things."""
_PHOTO_KEY = re.compile(r"图片_([1-9][0-9]{0,3})")
_OBJECT_KEY = re.compile(r"object_[0-9]{1,6}")
_EMPTY = re.compile(r"\[\]|\{(?:K:\{\},?)+\}")
_FENCE = re.compile(r"```[a-zA-Z]{0,10}")


class Recovery(NamedTuple):
    """A caption, what was done to read it (empty: nothing), and whether its end is missing."""

    caption: Caption
    repairs: tuple[str, ...]
    truncated: bool


def recover(
    text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Recovery:
    """Read a caption, strictly if it can be, else what is certain of it.

    Shape and units: see `caption.parse`.  Each repair is `code` or `code: detail`.
    Raises: FormatError with the code of what is wrong, where nothing is certain.
    """
    try:
        strict = caption.parse(text, photo_count, frames)
    except FormatError as error:
        if error.code == "empty":
            raise
        if box_tokens.looks_like(text):
            old = box_tokens.parse(text, photo_count, frames)
            return _without_loops(old, ["box_tokens"], False)
        reading = _Reading(text, photo_count, frames, error)
        reading.read()
        return _without_loops(reading.caption(), reading.repairs(), reading.truncated)
    return _without_loops(strict, [], False)


def _without_loops(value: Caption, repairs: list[str], truncated: bool) -> Recovery:
    photos = []
    for index, objects in enumerate(value.photos):
        counts = Counter(objects)
        loops = {thing for thing, count in counts.items() if count >= LOOP}
        kept: list[CaptionObject] = []
        for thing in objects:
            if thing in loops:
                if counts[thing] == 0:
                    continue
                at = f"{photo_key(index)}/object_{len(kept) + 1}"
                repairs.append(f"loop: {at} was written {counts[thing]} times")
                counts[thing] = 0
            kept.append(thing)
        photos.append(tuple(kept))
    return Recovery(Caption(tuple(photos)), tuple(repairs), truncated)


@dataclass(slots=True)
class _Reading:
    """One pass over the tokens: photos and objects by their keys, whatever stands between."""

    text: str
    photo_count: int | None
    frames: Sequence[Size] | None
    strict: FormatError
    """What the strict parser found wrong: told where nothing can be recovered."""
    truncated: bool = False
    _photos: list[list[CaptionObject]] = field(default_factory=list)
    _notes: dict[str, list[str]] = field(default_factory=dict)
    _plainly_empty: bool = False
    """Whether the text says that there is nothing, rather than nothing that can be read."""
    _said: int = 0
    """Objects of the present photo that the text holds, the dropped ones too."""
    _open: bool = False
    """Whether the text ends inside an object."""

    def read(self) -> None:
        """Read the text."""
        start = min((at for at in map(self.text.find, "{[") if at >= 0), default=-1)
        if start < 0:
            raise self.strict
        self._outside(self.text[:start], "leading_text")
        found = list(tokens(self.text, start))
        end = self._walk(found)
        if end is None:
            self.truncated = True
            self._note("truncated", f"the text ends {self._place()}" if self._photos else "")
            return
        rest = found[end + 1 :]
        outline = "".join("K" if t.kind == "string" else str(t.value) for t in found[: end + 1])
        self._plainly_empty = bool(_EMPTY.fullmatch(outline)) and (
            not _FENCE.sub("", self.text[found[end].end :]).strip()
        )
        if not self._is_json(found[: end + 1]):
            self._note("punctuation")
        if any(self._is_key(rest, at) for at in range(len(rest))):
            raise FormatError("structure", "objects stand behind the end of the caption")
        self._outside(self.text[found[end].end :], "trailing_text")

    def caption(self) -> Caption:
        """Give what was read; see `recover` for what it raises."""
        if not any(self._photos):
            if self.truncated:
                raise FormatError("truncated", "the text ends before its first whole object")
            if not self._plainly_empty:
                raise self.strict
        if self.photo_count is not None and len(self._photos) != self.photo_count:
            raise FormatError(
                "photo_count", f"expected {self.photo_count} photos, got {len(self._photos)}"
            )
        return Caption(tuple(map(tuple, self._photos)))

    def repairs(self) -> list[str]:
        """List what was done, each kind once, with its details."""
        return [
            f"{code}: {'; '.join(filter(None, details))}" if any(details) else code
            for code, details in self._notes.items()
        ]

    def _walk(self, found: list[Token]) -> int | None:
        """Take photos and objects up to the last bracket; None if the text ends before it."""
        depth = at = 0
        as_list = found[0].is_mark("[")
        if as_list:
            self._begin_alone("list_of_objects")
        while at < len(found):
            token = found[at]
            self._see(token)
            if as_list and depth == 1 and token.is_mark("{"):
                self._said += 1
                at = self._object(found, at + 1)
                continue
            if self._is_key(found, at):
                name = str(token.value)
                if match := _PHOTO_KEY.fullmatch(name):
                    self._begin(int(match[1]), name)
                    self._see(found[at + 1])
                    at += 2
                    if at < len(found) and not found[at].is_mark("{"):
                        raise self.strict
                    continue
                if at + 2 < len(found) and found[at + 2].is_mark("{"):
                    if not self._photos:
                        self._begin_alone("photo_key_missing")
                    self._said += 1
                    if name != f"object_{self._said}":
                        self._note("key_sequence", f"{name} read as {self._where()}")
                    at = self._object(found, at + 3)
                    continue
            elif token.is_mark("{["):
                depth += 1
            elif token.is_mark("}]"):
                depth -= 1
                if depth == 0:
                    return at
            elif token.kind not in ("mark", "cut"):  # a cut string is no oddity but the end
                self._note("stray_text", repr(str(token.value)[:20]))
            at += 1
        return None

    def _is_json(self, found: list[Token]) -> bool:
        """Whether commas and brackets are where JSON has them; quotes are another matter."""
        if any(token.kind == "other" for token in found):
            return True  # stray text, which is noted by itself
        text = "".join(
            str(token.value) if token.kind == "mark" else json.dumps(token.value) for token in found
        )
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True

    def _is_key(self, found: list[Token], at: int) -> bool:
        token = found[at]
        return (
            token.kind == "string"
            and at + 1 < len(found)
            and found[at + 1].is_mark(":")
            and bool(
                _PHOTO_KEY.fullmatch(str(token.value)) or _OBJECT_KEY.fullmatch(str(token.value))
            )
        )

    def _begin(self, number: int, name: str) -> None:
        if number != len(self._photos) + 1:
            expected = photo_key(len(self._photos))
            raise FormatError("key_sequence", f"expected {expected}, got {name!r}")
        self._photos.append([])
        self._said = 0

    def _begin_alone(self, note: str) -> None:
        if self.photo_count not in (None, 1):
            raise self.strict
        self._note(note)
        self._photos.append([])

    def _place(self) -> str:
        return f"{'in' if self._open else 'behind'} {self._where()}"

    def _where(self) -> str:
        return f"{photo_key(len(self._photos) - 1)}/object_{self._said}"

    def _object(self, found: list[Token], at: int) -> int:
        """Take one object, whose brace was just opened; give the place behind it."""
        fields = _Fields(found, at)
        try:
            members = list(fields)
        except _Ends:
            self._open = True
            return len(found)
        for token in found[at : fields.at]:
            self._see(token)
        try:
            thing = self._made(members, fields.problem)
        except FormatError as error:
            if error.code == "range":
                raise
            self._note("dropped", str(error))
        else:
            self._photos[-1].append(thing)
        return fields.at

    def _made(self, members: list[tuple[str, Any]], problem: str) -> CaptionObject:
        where = self._where()
        if problem:
            raise FormatError("structure", f"{where}: {problem}")
        fields = dict(members)
        if len(fields) != len(members):
            raise FormatError("duplicate_key", f"{where} holds a key twice")
        for other, name in (("poly", "quad"), ("polygon", "quad"), ("label", "desc")):
            if other in fields and name not in fields:
                fields[name] = fields.pop(other)
                self._note(f"{other}_as_{name}", where)
        for kind in caption.GEOMETRIES:
            if isinstance(numbers := fields.get(kind), list):
                fields[kind] = self._whole_numbers(numbers, where)
        if isinstance(line := fields.get("line"), list) and (
            fields.get("line_points") != len(line) // 2
        ):
            self._note("line_points", f"{where} said {fields.get('line_points')}")
            fields["line_points"] = len(line) // 2
        known = {*caption.GEOMETRIES, "desc", "line_points"}
        if odd := sorted(fields.keys() - known):
            self._note("unknown_keys", f"{where}: {', '.join(key[:40] for key in odd)}")
            fields = {key: value for key, value in fields.items() if key in known}
        return caption.read_object(
            where,
            self._corners_in_order(fields, where),
            caption.frame_at(self.frames, len(self._photos) - 1),
        )

    def _whole_numbers(self, numbers: list[Any], where: str) -> list[Any]:
        """Flatten points and round what is no whole number."""
        if numbers and all(isinstance(n, list) for n in numbers):
            self._note("points_flattened", where)
            numbers = [value for point in numbers for value in point]
        if any(type(n) is float for n in numbers):
            self._note("rounded", where)
            numbers = [round(n) if type(n) is float and abs(n) < 1e9 else n for n in numbers]
        return numbers

    def _corners_in_order(self, fields: dict[str, Any], where: str) -> dict[str, Any]:
        numbers = fields.get("quad")
        if not isinstance(numbers, list) or len(numbers) != 8 or set(map(type, numbers)) != {int}:
            return fields
        quad = Quad(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
        if crosses_itself(quad):  # the order of its corners says nothing: read_object refuses it
            return fields
        ordered = [value for point in clockwise_from_top_left(quad).points for value in point]
        if ordered != numbers:
            self._note("quad_order", where)
        return fields | {"quad": ordered}

    def _outside(self, text: str, note: str) -> None:
        bare = _FENCE.sub("", text)
        if bare != text:
            self._note("code_fence")
        if bare.strip():
            self._note(note, f"{len(bare.strip())} characters")

    def _see(self, token: Token) -> None:
        if token.oddity:
            self._note(token.oddity)

    def _note(self, code: str, detail: str = "") -> None:
        details = self._notes.setdefault(code, [])
        if detail or not details:
            details.append(detail)


class _Ends(Exception):  # noqa: N818 - no error, only the end of the text
    """The text ends inside an object."""


class _Fields:
    """The members of one object; `at` is the place behind it once they are read.

    What is no member is a `problem`, and passed over to the object's closing brace.
    """

    def __init__(self, found: list[Token], at: int) -> None:
        self._found, self.at, self.problem = found, at, ""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        while True:
            token = self._next()
            if token.is_mark("}"):
                return
            if token.is_mark(","):
                continue
            if token.kind == "string" and self._next().is_mark(":"):
                yield str(token.value), self._value(self._next())
                if not self.problem:
                    continue
            self.problem = self.problem or f"{str(token.value)[:20]!r} is no member"
            self._pass_over()
            return

    def _next(self) -> Token:
        if self.at >= len(self._found) or self._found[self.at].kind == "cut":
            raise _Ends
        token = self._found[self.at]
        self.at += 1
        return token

    def _value(self, token: Token, depth: int = 0) -> Any:
        if token.kind in ("string", "number"):
            return token.value
        if not token.is_mark("[") or depth > 1:
            self.problem = f"{str(token.value)[:20]!r} is no value"
            return None
        values = []
        while not self.problem:
            token = self._next()
            if token.is_mark("]"):
                break
            if not token.is_mark(","):
                values.append(self._value(token, depth + 1))
        return values

    def _pass_over(self) -> None:
        """Go behind the object's brace; the token that was no member may be one itself."""
        depth = 1
        self.at -= 1
        while depth:
            token = self._next()
            depth += token.is_mark("{") - token.is_mark("}")
