"""Messages in Chinese: what code below raises and shows in English, translated at the edge.

Code raises English sentences. `messages/*.zh.toml` hold the templates of these sentences, with
numbered holes, and their Chinese. The values in the holes of a message are translated in turn where
they are messages themselves, and foreign text passes unchanged. The catalogue is read when the
first message is shown.

Marks in the Chinese: `{1#}` fits a number alone; `{1~}` is a single word of ours, which elsewhere
is taken for a name. A template that begins or ends with a comma, a blank or the like is the part of
a message; a hole that begins a template and stands before a colon holds a name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_HOLE: Final = re.compile(r"\{(\d+)([#~]?)\}")
_NUMBER: Final = r"[-+]?\d[\d,._]*"
_COUNTED: Final = re.compile(rf"({_NUMBER}) (.+)", re.DOTALL)
_PROGRAM: Final = re.compile(r"(shenhe(?: [a-z]+){0,2}): ")
_PREFIXES: Final = {
    _PROGRAM: r"\1：",
    re.compile("warning: "): "警告：",
    re.compile("argument ([^ :]+): "): r"参数 \1：",
}
_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*"|“[^”]*”""")
_OF_LINE: Final = re.compile(r"(.+?): line (\d+)(:?) (.+)", re.DOTALL)
_LINE: Final = re.compile(r": line (\d+)$")
_STAGE: Final = re.compile(r"^Stage-([AB]) ")
_SEPARATORS: Final = {"; ": "；", " -> ": " -> ", ", ": "，"}
_JOINTS: Final = " ;,:("
LONGEST: Final = 2000
"""Longer texts are no messages: they hold answers, or a traceback."""
MOST_NAMES, DEEPEST, MOST_PARTS = 10, 8, 500
"""A message of ours has fewer names before what is said of them, nests less, has fewer parts."""
LETTERS: Final = 5
"""A template with fewer letters is translated where it is a message by itself, or counts
something: in the hole of another one it would fit names."""


class Template(NamedTuple):
    """A template of messages: what it fits, the texts between its holes, and its Chinese."""

    pattern: str
    texts: tuple[str, ...]
    letters: int
    chinese: str

    @classmethod
    def of(cls, english: str, chinese: str) -> Template:
        """Make a template of a pair of the catalogue."""
        marks = dict(_HOLE.findall(chinese))
        before, behind = _is_part_at(english[:1], english[:2]), _is_part_at(english[-1:], "")
        pieces = _HOLE.split(english if before or behind else english.strip())
        pattern = "(?P<before>.*?)" if before else ""
        for index in range(0, len(pieces) - 1, 3):
            number = pieces[index + 1]
            inner = _NUMBER if marks.get(number) == "#" else ".*?"
            pattern += f"{re.escape(pieces[index])}(?P<hole{number}>{inner})"
        pattern += re.escape(pieces[-1]) + ("(?P<behind>.*)" if behind else "")
        chinese = chinese if before or behind else chinese.strip()
        texts = tuple(filter(None, pieces[::3]))
        letters = sum(map(_letters, texts))
        return cls(pattern, texts, letters, chinese)

    def match(self, text: str) -> re.Match[str] | None:
        """Match a text; the texts between the holes are looked for first, which is quick."""
        at = 0
        for part in self.texts:
            at = text.find(part, at)
            if at < 0:
                return None
            at += len(part)
        return re.fullmatch(self.pattern, text, re.DOTALL)

    @property
    def is_specific(self) -> bool:
        """Whether it fits no name by chance."""
        return self.letters >= LETTERS or "#}" in self.chinese

    @property
    def begins_line(self) -> bool:
        """Whether it begins with a word of ours before a colon, as `page: {1}`."""
        return ": " in self.texts[0] and not self.pattern.startswith("(")

    @property
    def names_first(self) -> bool:
        """Whether its first hole is the name of a thing, as in `{1}: cannot be read`."""
        return self.pattern.startswith("(?P<hole1>.*?):")


class Told(NamedTuple):
    """A text in Chinese, and how many letters of it were English before."""

    text: str
    letters: int


class Catalogue:
    """All templates. Of those that a message fits, the one counts that leaves least in English.

    >>> catalogue = Catalogue({"{1}: no such file": "{1}：没有这个文件"})
    >>> catalogue.translate("a.jpg: no such file")
    'a.jpg：没有这个文件'
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        bare = {_bare(english): _bare(chinese) for english, chinese in pairs.items()}
        self._whole = {english.strip(): chinese.strip() for english, chinese in bare.items()}
        made = (Template.of(*pair) for pair in bare.items() if _is_pattern(pair[0]))
        self._templates = sorted(
            (template for template in made if template.texts),
            key=lambda template: -template.letters,
        )

    def translate(self, text: str) -> str:
        """Translate a message; one that is none of ours comes back as it is."""
        inner = text.strip()
        if not inner or len(inner) > LONGEST:
            return text
        indent, end = text[: text.index(inner)], text[text.index(inner) + len(inner) :]
        begin = ""
        for prefix, chinese in _PREFIXES.items():
            if match := prefix.match(inner):
                begin, inner = begin + match.expand(chinese), inner[match.end() :]
        translation = _Translation(self._whole, self._templates)
        return indent + begin + translation.of(inner).text + end


class _Translation:
    """The translation of one message: it ends, however many ways a hostile text may be read."""

    def __init__(self, whole: Mapping[str, str], templates: Sequence[Template]) -> None:
        self._whole, self._templates = whole, templates
        self._told: dict[tuple[str, bool], Told] = {}
        self._depth = 0

    def of(self, text: str, *, is_inner: bool = False) -> Told:
        """Translate a message, or what is in a hole of one, as far as it is ours."""
        if text in self._whole and not (is_inner and " " not in text):
            return Told(self._whole[text], _letters(text))
        key = (text, is_inner)
        if found := self._told.get(key):
            return found
        told = self._told[key] = Told(text, 0)
        if self._depth < DEEPEST and len(self._told) < MOST_PARTS:
            self._depth += 1
            ways = self._ways(text, is_inner=is_inner)
            told = self._told[key] = max((told, *ways), key=lambda told: told.letters)
            self._depth -= 1
        return told

    def _ways(self, text: str, *, is_inner: bool) -> Iterator[Told]:
        yield from self._named_parts(text, is_inner=is_inner)
        for template in self._templates:
            is_tried = template.is_specific or (template.begins_line and not is_inner)
            if is_tried and (match := template.match(text)):
                yield self._filled(template, match)
        yield from self._listed_parts(text)

    def _filled(self, template: Template, match: re.Match[str]) -> Told:
        values = match.groupdict()
        letters = template.letters

        def fill(hole: re.Match[str]) -> str:
            nonlocal letters
            number, mark = hole[1], hole[2]
            text = values[f"hole{number}"]
            if mark == "#":
                return text
            if number == "1" and template.names_first:
                told = self._named(text)
            elif mark == "~" and text in self._whole:
                told = Told(self._whole[text], _letters(text))
            else:
                told = self._value(text)
            letters += told.letters
            return told.text

        before, behind = (self._value(values.get(name, "")) for name in ("before", "behind"))
        inside = _HOLE.sub(fill, template.chinese)
        return Told(
            f"{before.text}{inside}{behind.text}", letters + before.letters + behind.letters
        )

    def _value(self, text: str) -> Told:
        """Translate what stands in a hole: quoted texts and single words are foreign."""
        inner = text.strip()
        if " " not in inner or _QUOTED.fullmatch(inner):
            return Told(text, 0)
        told = self.of(inner, is_inner=True)
        if text[0] in _JOINTS or text[-1] in _JOINTS:
            joined = self.of(text, is_inner=True)
            if joined.letters > told.letters:
                return joined
        return Told(text.replace(inner, told.text), told.letters)

    def _named(self, text: str) -> Told:
        """Write the name of a thing: names are foreign, but for stages, lines and what is ours."""
        if " " in text and text in self._whole:
            return Told(self._whole[text], _letters(text))
        named = _LINE.sub(r"：第 \1 行", _STAGE.sub(r"阶段\1 ", text))
        return Told(named, _letters(text) - _letters(named))

    def _named_parts(self, text: str, *, is_inner: bool) -> Iterator[Told]:
        """Translate what is said of a thing, or of a line of a file, behind its name."""
        if match := _OF_LINE.fullmatch(text):
            told, colon = self._value(match[4]), "：" if match[3] else ""
            line = f"{match[1]}：第 {match[2]} 行{colon}{told.text}"
            yield Told(line, told.letters and told.letters + len("line"))
        if text.count(": ") > MOST_NAMES:
            return
        for match in re.finditer(": ", text):
            name, right = text[: match.start()], self._value(text[match.end() :])
            left = self._value(name) if ": " in name else self._named(name)
            yield Told(f"{left.text}：{right.text}", left.letters + right.letters)

    def _listed_parts(self, text: str) -> Iterator[Told]:
        """Translate the parts of a list, or what is counted behind its number."""
        for separator, chinese in _SEPARATORS.items():
            parts = [self._value(part) for part in text.split(separator)]
            letters = [part.letters for part in parts]
            if len(parts) > 1 and (all(letters) or separator != ", "):
                yield Told(chinese.join(part.text for part in parts), sum(letters))
        match = _COUNTED.fullmatch(text)
        if match and ": " not in text:
            counted = self._value(match[2])
            yield Told(f"{counted.text} {match[1]}", counted.letters)


def read_catalogue() -> dict[str, str]:
    """Read the Chinese of all templates.

    Raises: ValueError for a template that two files have.
    """
    pairs: dict[str, str] = {}
    for file in files("shenhe.cli").joinpath("messages").iterdir():
        if file.name.endswith(".zh.toml"):
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            if twice := pairs.keys() & content.keys():
                raise ValueError(f"{file.name}: also in another file: {sorted(twice)}")
            pairs |= content
    return pairs


@cache
def _catalogue() -> Catalogue:
    return Catalogue(read_catalogue())


def in_chinese(text: str) -> str:
    """Translate a message into Chinese.

    >>> in_chinese("out: no verdicts there; run `shenhe judge` or `shenhe run` first")
    'out：那里没有结论；请先运行 `shenhe judge` 或 `shenhe run`'
    """
    return _catalogue().translate(text)


def _letters(text: str) -> int:
    """Count the letters of a text that are English."""
    return sum(character.isascii() and character.isalpha() for character in text)


def _bare(text: str) -> str:
    """Take away what a message begins with: that is translated by itself."""
    return re.sub(r"^(shenhe(: |：))?((warning: |警告：)(?!\{))?", "", text)


def _is_pattern(english: str) -> bool:
    return bool(_HOLE.search(english)) or _is_part_at(english[:1], english[:2])


def _is_part_at(edge: str, opening: str) -> bool:
    """Whether a template begins or ends with a mark that joins it to other text."""
    return bool(edge) and edge in _JOINTS and opening != "  "
