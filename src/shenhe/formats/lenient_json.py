"""JSON as models write it: text -> values with their brackets, spans and oddities.

Knows nothing of captions. One pass, linear in the length of the text, whatever the text; what is
out of place is kept and counted, never guessed away.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats.json_tokens import Token, tokens

MAX_DEPTH = 1000
"""Brackets within brackets; more is no value but a model that opens brackets for ever."""
MAX_VALUES = 1000
"""Lists and objects in one text; more is no answer but a model that does not find its end."""
_BRACKET = re.compile(r"[{\[]")


@dataclass(slots=True, eq=False)
class JsonScalar:
    """A string, a number, or a word such as true: `kind` is that of its token."""

    kind: str
    value: str | int | float


@dataclass(slots=True, eq=False)
class JsonList:
    """Items in order; `closed` is false where the text ends before its bracket."""

    items: list[JsonNode] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    """What stands in it and is no item."""
    closed: bool = False


@dataclass(slots=True, eq=False)
class JsonObject:
    """Members in order, repeated keys kept; a container without a key has the key ''."""

    members: list[tuple[str, JsonNode]] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    """What stands in it and is no member."""
    closed: bool = False

    def keys(self) -> list[str]:
        """List the keys in order."""
        return [key for key, _ in self.members]


JsonContainer = JsonList | JsonObject
JsonNode = JsonScalar | JsonList | JsonObject


class JsonValue(NamedTuple):
    """One list or object that stands in a text by itself."""

    root: JsonContainer
    start: int
    end: int
    oddities: tuple[str, ...]
    """How its tokens depart from JSON, each once, see `json_tokens`."""
    unclosed: int
    """Brackets that are open where the text ends, less those that one of the wrong kind closes."""
    misplaced: int
    """Closing brackets that are missing or stand where nothing is open for them."""
    ends_inside: bool
    """Whether the text ends within this value, and behind no bracket."""
    tokens: tuple[Token, ...]

    def is_json(self) -> bool:
        """Whether commas and brackets are where JSON has them; quotes are another matter."""
        if any(token.kind == "other" for token in self.tokens):
            return True  # stray text, which is told of by itself
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
    """Find every list and object that stands in a text by itself, in order.

    What stands between them is not looked at: it may be prose, with apostrophes.
    Raises: FormatError with code not_json for brackets, or brackets within brackets, without end.

        >>> [value.start for value in read('first [1], then {"a": 2}')]
        [6, 16]
    """
    values: list[JsonValue] = []
    at = 0
    while opening := _BRACKET.search(text, at):
        value = _Builder().build(text, opening.start())
        values.append(value)
        at = value.end
        if len(values) > MAX_VALUES:
            raise FormatError("not_json", f"more than {MAX_VALUES} lists and objects in one text")
    return values


class _Builder:
    """Builds the tree of one value from its tokens."""

    def __init__(self) -> None:
        self._open: list[JsonContainer] = []
        self._counts: Counter[type[JsonContainer]] = Counter()
        """How many lists and objects are open."""
        self._key: str | None = None
        """The key that waits for its value, in the innermost object."""
        self._colon = False
        self._misplaced = 0
        self._wrong_at_end = 0
        """Closing brackets of the wrong kind that stand last: `[{..}}` has an end, a wrong one."""

    def build(self, text: str, start: int) -> JsonValue:
        taken: list[Token] = []
        root: JsonContainer | None = None
        for token in tokens(text, start):
            taken.append(token)
            self._take(token)
            if root is None:
                root = self._open[0]
            if not self._open:
                break
        assert root is not None  # the text has a bracket at `start`
        oddities = dict.fromkeys(token.oddity for token in taken if token.oddity)
        return JsonValue(
            root,
            start,
            taken[-1].end if not self._open else len(text),
            tuple(oddities),
            max(0, len(self._open) - self._wrong_at_end),
            self._misplaced,
            bool(self._open) and not taken[-1].is_mark("}]"),
            tuple(taken),
        )

    def _take(self, token: Token) -> None:
        if not token.is_mark("}]"):
            self._wrong_at_end = 0
        if token.is_mark("{["):
            self._begin(JsonObject() if token.value == "{" else JsonList())
        elif token.is_mark("}]"):
            self._close(JsonObject if token.value == "}" else JsonList, str(token.value))
        elif token.is_mark(","):
            self._drop_key()
        elif token.is_mark(":"):
            self._take_colon()
        elif token.kind != "cut":
            self._take_scalar(token)

    def _begin(self, node: JsonContainer) -> None:
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
            self._drop_key()
            top.stray.append(mark)
            if not isinstance(node, JsonScalar):
                top.members.append(("", node))
        self._key, self._colon = None, False

    def _take_scalar(self, token: Token) -> None:
        node = JsonScalar(token.kind, token.value)
        if (
            isinstance(self._open[-1], JsonObject)
            and not (self._key is not None and self._colon)
            and token.kind == "string"
        ):
            self._drop_key()
            self._key = str(token.value)
            return
        self._attach(node, str(token.value)[:20])

    def _take_colon(self) -> None:
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
        ):  # a list has no keys: its bracket is missing
            top.items.pop()
            self._leave()
            self._misplaced += 1
            self._key, self._colon = str(last.value), True
            return
        top.stray.append(":")

    def _close(self, kind: type[JsonContainer], mark: str) -> None:
        """Close the innermost bracket of a kind; those inside it lack theirs."""
        if not self._counts[kind]:
            self._misplaced += 1
            self._wrong_at_end += 1
            self._drop_key()
            self._open[-1].stray.append(mark)
            return
        while not isinstance(self._open[-1], kind):
            self._misplaced += 1
            self._leave()
        self._leave()

    def _leave(self) -> None:
        self._drop_key()
        node = self._open.pop()
        self._counts[type(node)] -= 1
        node.closed = True

    def _drop_key(self) -> None:
        """Keep a key without a value as what it is: no member."""
        if self._key is not None:
            self._open[-1].stray.append(self._key[:20])
        self._key, self._colon = None, False
