"""JSON as models write it: from a text to trees with spans and oddities.

Knows nothing of captions. One pass, linear in the length of any text; misplaced pieces are kept and
counted, never dropped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats.json_tokens import Oddity, Token, TokenKind, tokens

MAX_DEPTH = 1000
"""Depth of nested brackets; a deeper text is a model that opens brackets without end."""
MAX_VALUES = 1000
"""Lists and objects in one text; more of them are a model that does not find its end."""
_BRACKET = re.compile(r"[{\[]")


@dataclass(slots=True, eq=False)
class JsonScalar:
    """A string, a number, or a word such as true; `kind` is that of its token."""

    kind: TokenKind
    value: str | int | float


@dataclass(slots=True, eq=False)
class JsonList:
    """Items in order; `closed` is false if the text ends before its bracket."""

    items: list[JsonNode] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    """Pieces of text among the items."""
    closed: bool = False


@dataclass(slots=True, eq=False)
class JsonObject:
    """Members in order, repeated keys kept; a container without a key has the key ''."""

    members: list[tuple[str, JsonNode]] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    """Pieces of text among the members."""
    closed: bool = False

    def keys(self) -> list[str]:
        """List the keys in order."""
        return [key for key, _ in self.members]


JsonContainer = JsonList | JsonObject
JsonNode = JsonScalar | JsonList | JsonObject


class JsonValue(NamedTuple):
    """An outermost list or object of a text."""

    root: JsonContainer
    start: int
    end: int
    oddities: tuple[Oddity, ...]
    """How its tokens depart from JSON, each once."""
    unclosed: int
    """Brackets open at the end of the text, less those that one of the wrong kind closes."""
    misplaced: int
    """Closing brackets that are missing, or match no open one."""
    ends_inside: bool
    """Whether the text ends within this value, and not with a bracket."""
    tokens: tuple[Token, ...]

    def is_json(self) -> bool:
        """Whether commas and brackets stand as in JSON; quotes are an oddity of tokens."""
        if any(token.kind == "other" for token in self.tokens):
            return True  # stray text, which is a repair of its own
        pieces = (
            str(token.value) if token.kind == "mark" else json.dumps(token.value)
            for token in self.tokens
        )
        try:
            json.loads("".join(pieces))
        except (ValueError, RecursionError):
            return False
        return True


def read(text: str) -> list[JsonValue]:
    """Find the outermost lists and objects of a text, in order.

    Text between them is not parsed: it may be prose with apostrophes.
    Raises: FormatError with code not_json for more than MAX_VALUES values or MAX_DEPTH levels.

        >>> [value.start for value in read('first [1], then {"a": 2}')]
        [6, 16]
    """
    values: list[JsonValue] = []
    end = 0
    while bracket := _BRACKET.search(text, end):
        value = _Builder().build(text, bracket.start())
        values.append(value)
        end = value.end
        if len(values) > MAX_VALUES:
            raise FormatError("not_json", f"more than {MAX_VALUES} lists and objects in one text")
    return values


class _Builder:
    """Builds the tree of one value from its tokens."""

    def __init__(self) -> None:
        self._open: list[JsonContainer] = []
        self._counts: Counter[type[JsonContainer]] = Counter()
        """Number of open lists and open objects."""
        self._key: str | None = None
        """Key of the innermost object whose value has not come yet."""
        self._colon = False
        self._misplaced = 0
        self._wrong_at_end = 0
        """Closing brackets of the wrong kind that stand last: `[{..}}` has an end, a wrong one."""

    def build(self, text: str, start: int) -> JsonValue:
        """Build the value whose bracket stands at `start`."""
        consumed: list[Token] = []
        root: JsonContainer | None = None
        for token in tokens(text, start):
            consumed.append(token)
            self._add(token)
            if root is None:
                root = self._open[0]
            if not self._open:
                break
        assert root is not None  # the text has a bracket at `start`
        oddities = dict.fromkeys(token.oddity for token in consumed if token.oddity)
        return JsonValue(
            root,
            start,
            consumed[-1].end if not self._open else len(text),
            tuple(oddities),
            max(0, len(self._open) - self._wrong_at_end),
            self._misplaced,
            bool(self._open) and not consumed[-1].is_mark("}]"),
            tuple(consumed),
        )

    def _add(self, token: Token) -> None:
        if not token.is_mark("}]"):
            self._wrong_at_end = 0
        if token.is_mark("{["):
            self._open_container(JsonObject() if token.value == "{" else JsonList())
        elif token.is_mark("}]"):
            self._close(JsonObject if token.value == "}" else JsonList, str(token.value))
        elif token.is_mark(","):
            self._key_to_stray()
        elif token.is_mark(":"):
            self._add_colon()
        elif token.kind != "cut":
            self._add_scalar(token)

    def _open_container(self, node: JsonContainer) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise FormatError("not_json", f"more than {MAX_DEPTH} brackets within brackets")
        if self._open:
            self._attach(node, "{" if isinstance(node, JsonObject) else "[")
        self._open.append(node)
        self._counts[type(node)] += 1

    def _attach(self, node: JsonNode, mark: str) -> None:
        top = self._open[-1]
        if isinstance(top, JsonList):
            top.items.append(node)
        elif self._key is not None and self._colon:
            top.members.append((self._key, node))
        else:
            self._key_to_stray()
            top.stray.append(mark)
            if not isinstance(node, JsonScalar):
                top.members.append(("", node))
        self._key, self._colon = None, False

    def _add_scalar(self, token: Token) -> None:
        node = JsonScalar(token.kind, token.value)
        if (
            isinstance(self._open[-1], JsonObject)
            and not (self._key is not None and self._colon)
            and token.kind == "string"
        ):
            self._key_to_stray()
            self._key = str(token.value)
            return
        self._attach(node, str(token.value)[:20])

    def _add_colon(self) -> None:
        top = self._open[-1]
        if isinstance(top, JsonObject) and self._key is not None and not self._colon:
            self._colon = True
            return
        if (
            isinstance(top, JsonList)
            and isinstance(last := top.items[-1] if top.items else None, JsonScalar)
            and last.kind == "string"
            and len(self._open) > 1
            and isinstance(self._open[-2], JsonObject)
        ):  # a list has no keys: its closing bracket is missing
            top.items.pop()
            self._pop()
            self._misplaced += 1
            self._key, self._colon = str(last.value), True
            return
        top.stray.append(":")

    def _close(self, kind: type[JsonContainer], mark: str) -> None:
        """Close the innermost bracket of a kind; brackets inside it are missing their ends."""
        if not self._counts[kind]:
            self._misplaced += 1
            self._wrong_at_end += 1
            self._key_to_stray()
            self._open[-1].stray.append(mark)
            return
        while not isinstance(self._open[-1], kind):
            self._misplaced += 1
            self._pop()
        self._pop()

    def _pop(self) -> None:
        self._key_to_stray()
        node = self._open.pop()
        self._counts[type(node)] -= 1
        node.closed = True

    def _key_to_stray(self) -> None:
        """Keep a key without a value as stray text."""
        if self._key is not None:
            self._open[-1].stray.append(self._key[:20])
        self._key, self._colon = None, False
