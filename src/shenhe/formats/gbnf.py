r"""Grammars for llama.cpp: GBNF, written from the Lark that all grammars are made in.

What is read is the part of Lark that `formats` writes: rules of literals, names, groups and
repetitions, and terminals of regular expressions without look-around. `A & B*`, where B begins with
a set of characters, is A with all its sets narrowed to that one: GBNF has no intersections.

    >>> print(to_gbnf('start: "a" LINE\nLINE: /[^\\n]{1,3}/\n'))
    root ::= "a" LINE
    LINE ::= [^\n]{1,3}
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from shenhe.formats.character_sets import written
from shenhe.formats.regex_to_gbnf import MAX_REPEATED, NotConvertibleError, RegexReader

_RULE: Final = re.compile(r"^[?!]?([A-Za-z_][A-Za-z0-9_]*)(?:\.-?[0-9]+)?\s*:", re.MULTILINE)
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<comment>//[^\n]*)
    | (?P<text>"(?:[^"\\\n]|\\.)*")(?P<folded>i?)
    | (?P<regex>/(?:[^/\\\n]|\\.)+/)(?P<flags>[imslux]*)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<times>\{\s*[0-9]+\s*(?:,\s*[0-9]*\s*)?\}|~\s*[0-9]+(?:\s*\.\.\s*[0-9]+)?)
    | (?P<sign>[()\[\]|?*+&])
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=256)
def to_gbnf(lark: str) -> str:
    """Write a grammar of Lark as GBNF, with the same texts.

    Raises: NotConvertibleError for what GBNF, or this converter, cannot say.
    """
    heads = list(_RULE.finditer(lark))
    if not heads or lark[: heads[0].start()].strip():
        raise NotConvertibleError(f"no rules of Lark: {lark[:40]!r}")
    rules: list[str] = []
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = lark[head.end() : following.start() if following else None]
        rules += _Rule(_named(head[1]), body).read()
    return "\n".join(rules)


class _Rule:
    """One rule of Lark, and the rules that its repeated groups become."""

    def __init__(self, name: str, body: str) -> None:
        self._name, self._hoisted = name, list[str]()
        self._tokens = list(_tokens(body))
        self._at = 0

    def read(self) -> list[str]:
        """Write the rules as GBNF.

        Raises: NotConvertibleError.
        """
        text = self._alternatives()
        if self._at < len(self._tokens):
            raise NotConvertibleError(f"a bracket too many in {self._name}")
        return [f"{self._name} ::= {text}", *self._hoisted]

    def _alternatives(self) -> str:
        branches = [self._branch()]
        while self._take("|"):
            branches.append(self._branch())
        return " | ".join(branches)

    def _branch(self) -> str:
        items: list[str] = []
        while (item := self._item()) is not None:
            items.append(item)
        return " ".join(items)

    def _item(self) -> str | None:
        """Read an atom and its repetition; None at the end of a branch."""
        if self._at == len(self._tokens):
            return None
        kind, text = self._tokens[self._at]
        if kind == "sign" and text in "|)]":
            return None
        self._at += 1
        if kind == "sign" and text in "([":
            atom = f"({self._alternatives()})"
            if not self._take(")" if text == "(" else "]"):
                raise NotConvertibleError(f"a bracket is not closed in {self._name}")
            atom += "?" if text == "[" else ""
        elif kind == "text":
            atom = _quoted(json.loads(text))
        elif kind == "name":
            atom = _named(text)
        elif kind == "regex":
            atom = self._regex(text)
        else:
            raise NotConvertibleError(f"{text!r} in {self._name}")
        return self._repeated(atom)

    def _regex(self, text: str) -> str:
        """Write a terminal, narrowed to the set of the one that is intersected with it."""
        within = None
        if self._take("&"):
            if self._at == len(self._tokens) or self._tokens[self._at][0] != "regex":
                raise NotConvertibleError(f"an intersection in {self._name}")
            other = self._tokens[self._at][1]
            self._at += 1
            within = RegexReader(other[1:-1], self._hoist).first_set()
        body = RegexReader(text[1:-1], self._hoist, within).read()
        return f"({body})" if len(self._tokens) > 1 + 2 * (within is not None) else body

    def _repeated(self, atom: str) -> str:
        for sign in "?*+":
            if self._take(sign):
                return atom + sign
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if kind != "times":
            return atom
        self._at += 1
        numbers = re.findall("[0-9]+", text)
        if atom.startswith("(") and int(numbers[-1]) > MAX_REPEATED:
            atom = self._hoist(atom)
        end = "," if re.search(r",\s*\}", text) else ""
        return f"{atom}{{{','.join(numbers)}{end}}}"

    def _hoist(self, body: str) -> str:
        """Make a rule of a group: llama.cpp bounds the rules within a repetition."""
        name = f"{self._name}--{len(self._hoisted) + 1}"
        self._hoisted.append(f"{name} ::= {body}")
        return name

    def _take(self, sign: str) -> bool:
        """Whether a sign comes next, which is then passed."""
        found = self._tokens[self._at : self._at + 1] == [("sign", sign)]
        self._at += found
        return found


def _tokens(body: str) -> list[tuple[str, str]]:
    """Split the body of a rule into kinds and texts, without comments."""
    tokens, at = list[tuple[str, str]](), 0
    while body[at:].strip():
        match = _TOKEN.match(body, at)
        if match is None or match["folded"] or match["flags"]:
            raise NotConvertibleError(f"GBNF cannot say {body[at : at + 40].strip()!r}")
        at = match.end()
        kind = match.lastgroup or ""
        kind = {"folded": "text", "flags": "regex"}.get(kind, kind)
        if kind != "comment":
            tokens.append((kind, match[kind]))
    return tokens


def _named(name: str) -> str:
    """Name a rule: GBNF has dashes, and begins at `root`."""
    return "root" if name == "start" else name.replace("_", "-")


def _quoted(text: str) -> str:
    return '"' + "".join(written(ord(character)) for character in text) + '"'
