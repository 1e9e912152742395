"""The items of a line, in one spelling whatever the line's own is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shenhe.config.spelling import (
    ATTRIBUTES,
    CATEGORIES,
    DISTANCE,
    KINDS,
    LABEL,
    SCREWS,
    STRONG,
    flatten,
    spell_category,
)
from shenhe.stages.evidence.phrases import DOUBT, EMPTY_REMARKS, HIDDEN

MAX_REASONS = 100
"""Reasons of a remark that are looked at."""
NOTHING = "无关图片"
_COUNT = re.compile(r"(?:[×✕✖*]{1,8}|x{1,8})\d+$")
_LABEL_COUNT = re.compile(r"[×✕✖]{1,8}\d+$")
"""Within a label's text an x is a letter."""
_REMARK = re.compile(
    r"^[(【〔<「『*]{0,3}(?:需[复覆]核[)】〕>」』*]{0,3}备注|备注|[需待][复覆]核|待核实)[)】〕>」』*]{0,3}:?"
)
_PREFIX = re.compile(r"^(?:(?:图片|image|图)_?\d+:)?(?:第?组[_-]?([0-9一二三四五六七八九十]+):)?")
_DISTANCE = re.compile(r"^站点距离[:=]?")
_DETAIL = re.compile(r"(?<=[^\x01/,、(])\([^()×\x01]{0,60}\)")
_INNER = re.compile(r"[/,、]")
_SEPARATORS = re.compile(r"([\x01/,、])")
_REASONS = re.compile(r"[\x01\x02,/]")
_NONE_COUNTED = re.compile(r"(?:^|(?<=\x01))[^\x01×✕✖*]{0,400}[×✕✖*]{1,8}0+(?=\x01|/|$)")
_NONE_BY_X = re.compile(r"(?:^|(?<=\x01))[^\x01×✕✖*x]{0,400}(?<![\x00-\x7f])x{1,8}0+(?=\x01|/|$)")
INNER = "\x02"
"""Stands for a separator within brackets."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a line.

    `details` are what stands in brackets behind attributes. `reasons` are those of its remark, ""
    for a remark without any. `possible` are attributes that it may have as well: those of counted
    things of which some have it.
    """

    categories: tuple[str, ...]
    attributes: frozenset[str]
    details: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    possible: frozenset[str] = frozenset()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """The items of a line, the reasons of remarks that stand alone, and the distances it tells."""

    items: tuple[Item, ...] = ()
    remarks: tuple[str, ...] = ()
    distances: frozenset[str] = frozenset()


def read_text(line: str, own: frozenset[str] = frozenset()) -> Line:
    """Read a line of items; `own` are the categories of the rules.

    >>> line = read_text("标签/BBU安装螺丝,符合要求×1，螺丝/BBU安装螺丝、符合要求x 2")
    >>> [item.categories for item in line.items]
    [('标签',), ('螺丝光纤插头',)]
    """
    text = drop_uncounted(flatten(line))
    text = _DETAIL.sub(lambda match: _INNER.sub(INNER, match[0]), text)
    pieces = _SEPARATORS.split(STRONG + text)
    reader = _Reader(own)
    for index in range(1, len(pieces), 2):
        following = pieces[index + 2] if index + 2 < len(pieces) else STRONG
        reader.add(pieces[index], pieces[index + 1], following)
    reader.end_item()
    return Line(tuple(reader.items), tuple(reader.remarks), frozenset(reader.distances))


def drop_uncounted(text: str) -> str:
    r"""Leave out the items of a flattened text that count nothing.

    >>> drop_uncounted("bbu设备×0\x01电线×10")
    '\x01电线×10'
    """
    text = _NONE_COUNTED.sub("", text)
    return _NONE_BY_X.sub(lambda match: match[0] if LABEL in match[0] else "", text)


def split_reasons(text: str) -> list[str]:
    """Split a remark into its reasons, each once; "" stands for those that are too many.

    >>> split_reasons("无法判断品牌,螺丝未拧紧")
    ['无法判断品牌', '螺丝未拧紧']
    """
    reasons = list(dict.fromkeys(reason for reason in _REASONS.split(text) if reason))
    return reasons if len(reasons) <= MAX_REASONS else [*reasons[:MAX_REASONS], ""]


@dataclass(slots=True)
class _Reader:
    """Builds items from the pieces between separators, one after another."""

    own: frozenset[str]
    items: list[Item] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    distances: set[str] = field(default_factory=set)
    mode: str = ""
    """Empty between items, else what the piece before belongs to: item, label or remark."""
    categories: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    remark: list[str] | None = None
    label: str = ""
    """The first piece of a label's text."""
    group: str = ""

    def add(self, separator: str, piece: str, following: str) -> None:
        """Add the piece behind a separator; `following` is the separator behind it."""
        if self.mode == "remark":
            if not self._starts_behind_remark(separator, piece, following):
                self._add_to_remark(separator, piece, following)
                return
            self.end_item()
        elif self.mode == "label":
            if self._add_to_label(separator, piece, following):
                return
        elif self.mode == "item" and not self._starts_item(separator, piece, following):
            self._add_attribute(separator, piece, following)
            return
        self._start(separator, piece, following)

    def end_item(self) -> None:
        """Keep the item or the remark that is being read."""
        reasons = () if self.remark is None else self._reasons("".join(self.remark))
        if self.categories:
            if self.label:
                unread = self.label.startswith("无法识别")
                self.attributes.append("无法识别" if unread else "可以识别")
            self.items.append(
                Item(
                    tuple(self.categories),
                    frozenset(self.attributes),
                    tuple(self.details),
                    reasons,
                    group=self.group,
                )
            )
        elif self.remark is not None:
            self.remarks += reasons
        self.mode = self.group = self.label = ""
        self.remark = None
        self.categories, self.attributes, self.details = [], [], []

    def _reasons(self, text: str) -> tuple[str, ...]:
        reasons = split_reasons(text)
        if reasons and all(reason in EMPTY_REMARKS for reason in reasons):
            return ()
        if not self.categories:
            return tuple(reasons) or ("",)
        words = [reason for reason in reasons if reason in ATTRIBUTES]
        self.attributes += words
        reasons = [reason for reason in reasons if reason not in ATTRIBUTES]
        return tuple(reasons) or (() if words else ("",))

    def _category(self, piece: str) -> str:
        """Give the category that a piece is, count aside; empty if it is none."""
        word = _COUNT.sub("", piece)
        return CATEGORIES.get(word) or (word if word in self.own else "")

    def _starts_item(self, separator: str, piece: str, following: str) -> bool:
        """Whether a piece behind an item without a count begins another."""
        if separator == STRONG and (self._glued(piece) or _COUNT.sub("", piece) in KINDS):
            return True
        word = _PREFIX.sub("", piece)
        if separator == STRONG and (word != piece or word == NOTHING or _DISTANCE.match(word)):
            return True
        if not self._category(word):
            return separator != "/" and word.startswith(LABEL)
        if separator == "、" or (separator == "/" and not self.attributes):
            return bool(self.attributes)
        return True

    def _starts_behind_remark(self, separator: str, piece: str, following: str) -> bool:
        if separator == "/" or separator == "、":
            return False
        word = _PREFIX.sub("", piece)
        if separator == STRONG and (word != piece or _DISTANCE.match(word) or word == NOTHING):
            return True
        if self._category(word):
            return following == "/" or bool(_COUNT.search(word))
        return separator == STRONG and bool(_COUNT.search(word) and self._glued(word))

    def _glued(self, piece: str) -> tuple[str, str] | None:
        """Split a piece that is a category with its attribute behind it."""
        if piece.startswith(LABEL):
            return LABEL, piece.removeprefix(LABEL)
        word = _COUNT.sub("", piece).partition("(")[0]
        for spelling, category in CATEGORIES.items():
            if word.startswith(spelling) and word.removeprefix(spelling) in ATTRIBUTES:
                return category, word.removeprefix(spelling)
        return None

    def _start(self, separator: str, piece: str, following: str) -> None:
        """Begin an item, or a remark that stands alone."""
        prefix = _PREFIX.match(piece)
        if prefix and prefix[0]:
            self.group, piece = prefix[1] or "", piece[prefix.end() :]
        if not piece or _COUNT.sub("", piece) == NOTHING:
            return
        if _REMARK.match(piece):
            self.mode = "remark"
            self._add_to_remark(separator, piece, following)
            return
        if distance := _DISTANCE.match(piece):
            self.categories, self.mode = [DISTANCE], "item"
            if piece[distance.end() :]:
                self._add_attribute("/", piece[distance.end() :], following)
            return
        if category := self._category(piece):
            self._open(category, piece, following)
        elif glued := self._glued(piece):
            self._open(glued[0], "", following)
            self.add("/", piece[piece.index(glued[1]) :], following)
        elif separator == STRONG and _COUNT.sub("", piece) in KINDS:
            self._open(SCREWS, "", following)
            self.add("/", piece, following)
        elif separator == STRONG and DOUBT.search(piece):
            self.mode = "remark"
            self._add_to_remark(separator, "备注:" + piece, following)
        elif separator == STRONG:
            self._open(spell_category(_COUNT.sub("", piece)), piece, following)

    def _open(self, category: str, piece: str, following: str) -> None:
        self.categories.append(category)
        self.mode = "label" if category == LABEL else "item"
        if _COUNT.search(piece) and following != "/":
            self.end_item()

    def _add_attribute(self, separator: str, piece: str, following: str) -> None:
        if _REMARK.match(piece):
            if separator == STRONG:
                self.end_item()
            self.mode = "remark"
            self._add_to_remark(separator, piece, following)
            return
        if (category := self._category(piece)) and not self.attributes:
            self._open(category, piece, following)
            return
        word = _COUNT.sub("", piece)
        if self.categories == [DISTANCE]:
            self.distances.add(word)
        elif DOUBT.search(word) or (SCREWS in self.categories and HIDDEN.search(word)):
            self.mode = "remark"
            self._add_to_remark(separator, "备注:" + piece, following)
            return
        elif word:
            attribute, _, detail = word.partition("(")
            self.attributes.append(attribute)
            self.details += [part for part in detail.rstrip(")").split(INNER) if part]
        if word != piece and following != "/":
            self.end_item()

    def _add_to_label(self, separator: str, piece: str, following: str) -> bool:
        """Add a piece to a label's text; False if it begins another item."""
        if _REMARK.match(piece):
            if separator == STRONG:
                self.end_item()
            self.mode = "remark"
            self._add_to_remark(separator, piece, following)
            return True
        word = _PREFIX.sub("", piece)
        if separator == STRONG and (
            self._category(word) or word != piece or self._glued(word) or _DISTANCE.match(word)
        ):
            self.end_item()
            return False
        ends = _COUNT if following == STRONG else _LABEL_COUNT
        text = ends.sub("", piece) if following != "/" else piece
        self.label = self.label or text
        if text != piece:
            self.end_item()
        return True

    def _add_to_remark(self, separator: str, piece: str, following: str) -> None:
        text = _COUNT.sub("", piece) if following != "/" else piece
        if self.remark is None:
            self.remark = []
        elif not _REMARK.match(piece):
            self.remark.append("," if separator == STRONG else separator)
        self.remark.append(_REMARK.sub("", text))
        if text != piece:
            self.end_item()
