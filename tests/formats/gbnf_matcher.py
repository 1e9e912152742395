"""Whether a text is what a grammar of llama.cpp asks for: a matcher that tries everything."""

from __future__ import annotations

import re
from functools import lru_cache

Node = tuple[object, ...]
_TOKEN = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[A-Za-z0-9-]+|\{[0-9]+(?:,[0-9]*)?\}|[()|?*+])'
)


def matches(gbnf: str, text: str) -> bool:
    """Match a whole text."""
    return len(text) in _Matcher(_parse(gbnf), text).ends(("rule", "root"), 0)


@lru_cache(maxsize=64)
def _parse(gbnf: str) -> dict[str, Node]:
    rules = {}
    for line in gbnf.split("\n"):
        name, _, body = line.partition(" ::= ")
        tokens = _TOKEN.findall(body)
        assert re.sub(r"\s", "", "".join(tokens)) == re.sub(r"\s", "", body), line
        tree, rest = _alternatives(tokens)
        assert not rest, line
        assert name not in rules, name
        rules[name] = tree
    return rules


def _alternatives(tokens: list[str]) -> tuple[Node, list[str]]:
    branches: list[Node] = []
    while True:
        items: list[Node] = []
        while tokens and tokens[0] not in "|)":
            item, tokens = _item(tokens)
            items.append(item)
        branches.append(("row", *items))
        if not tokens or tokens[0] == ")":
            return ("any", *branches), tokens
        tokens = tokens[1:]


def _item(tokens: list[str]) -> tuple[Node, list[str]]:
    token, rest = tokens[0], tokens[1:]
    node: Node
    if token == "(":
        node, rest = _alternatives(rest)
        rest = rest[1:]
    elif token[0] == '"':
        node = ("text", re.sub(r"\\(x..|u.{4}|U.{8}|.)", _plain, token[1:-1]))
    elif token[0] == "[":
        node = ("set", re.compile(token))
    else:
        node = ("rule", token)
    while rest and (rest[0] in ("?", "*", "+") or rest[0][0] == "{"):
        low, high = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(rest[0], (None, None))
        if low is None:
            bounds = rest[0][1:-1].split(",")
            low = int(bounds[0])
            high = int(bounds[-1]) if bounds[-1] else None
        node, rest = ("times", node, low, high), rest[1:]
    return node, rest


def _plain(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    return {"n": "\n", "r": "\r", "t": "\t"}.get(code, code)


class _Matcher:
    def __init__(self, rules: dict[str, Node], text: str) -> None:
        self._rules, self._text = rules, text
        self._seen: dict[tuple[str, int], frozenset[int]] = {}

    def ends(self, node: Node, start: int) -> frozenset[int]:
        """Give every position at which a node may end."""
        kind = node[0]
        if kind == "text":
            text = str(node[1])
            return frozenset({start + len(text)} if self._text.startswith(text, start) else ())
        if kind == "set":
            pattern = node[1]
            assert isinstance(pattern, re.Pattern)
            return frozenset({start + 1} if pattern.match(self._text, start) else ())
        if kind == "rule":
            key = str(node[1]), start
            if key not in self._seen:
                self._seen[key] = self.ends(self._rules[key[0]], start)
            return self._seen[key]
        if kind == "any":
            return frozenset().union(*(self.ends(branch, start) for branch in _nodes(node)))
        if kind == "row":
            ends = frozenset({start})
            for item in _nodes(node):
                ends = frozenset().union(*(self.ends(item, at) for at in ends))
            return ends
        return self._repeated(node, start)

    def _repeated(self, node: Node, start: int) -> frozenset[int]:
        _, item, low, high = node
        assert isinstance(item, tuple)
        assert isinstance(low, int)
        reached, ends, count = {start}, {start} if low == 0 else set[int](), 0
        while reached and (high is None or count < int(str(high))):
            count += 1
            reached = set().union(*(self.ends(item, at) for at in reached)) - ends
            if count >= low:
                ends |= reached
        return frozenset(ends)


def _nodes(node: Node) -> list[Node]:
    return [child for child in node[1:] if isinstance(child, tuple)]
