"""The templates of all messages, found in the sources: English with numbered holes.

    python -m recipes.message_templates      # those that have no Chinese yet, as TOML to fill in

A message is a text in code that reads as prose; f-strings have holes for what is written into them,
and holes beside each other are one. A part that is only there sometimes gives a template each way:
`f"{n} row{'s' if n > 1 else ''}"` is `{1} row` and `{1} rows`. Prose that is no message, as SQL or
a header of HTTP, stands in no_messages.txt.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path

import shenhe
from shenhe.cli.help_words import chinese_help
from shenhe.cli.message_catalogue import read_catalogue

SOURCES = Path(shenhe.__file__).parent
NO_MESSAGES = Path(__file__).with_name("no_messages.txt")
PROSE = re.compile(
    r"[A-Za-z)`'\"}]{2,}[,;:]? [a-z]|[a-z][,;:]? [A-Za-z`'\"({]{2}|\} [a-z]{2,}|[a-z]{2,}[:,]? \{"
)
SQL = re.compile(
    r"\b(SELECT|INSERT|DELETE|PRAGMA|CREATE|ALTER|ATTACH|WHERE|ORDER BY|AND|IS NULL)\b"
    r"|^SET |^extract\("
)
HOLE = re.compile(r"%(?:\.\d+)?[sdrgf]\b|(?<=\s)\{\}(?=\s)")
"""Holes of log messages, and of texts that are filled later."""
HELP = {"option", "argument", "section", "Command"}
BOTH_LANGUAGES = {"Words"}
FOR_PROGRAMMERS = {
    "AssertionError",
    "AttributeError",
    "KeyError",
    "NotImplementedError",
    "TypeError",
    "compile",
}
PASSED_OVER = HELP | BOTH_LANGUAGES | FOR_PROGRAMMERS
"""What is called with texts that are no messages."""
OPERATIONS = ("service/metrics.py", "service/tracing.py")
"""Where figures get their names, which programs read: nothing there is a message."""
PAGES = ("report/", "review/", "team/", "service/routes/", "web/", *OPERATIONS)
"""Where pages are made, which have words of their own: only what is raised there is a message."""
EXPORTS = "review/export/"
"""What is left out of an export is told on the terminal."""
Parts = list[str | None]


@cache
def templates(folder: Path = SOURCES) -> Mapping[str, str]:
    """Find the templates of all modules, each with the module that has it first."""
    passed_over = no_messages() | chinese_help().keys()
    result: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for text in _raised(tree) if _makes_pages(module) else _texts(tree):
            for template in map(_numbered, _variants(text)):
                is_prose = PROSE.search(template) and not SQL.search(template)
                if is_prose and template not in passed_over:
                    result.setdefault(template, module)
    return result | dict.fromkeys(_notes_on_swift(), "cli/swift_options.tsv")


def _makes_pages(module: str) -> bool:
    return module.startswith(PAGES) and not module.startswith(EXPORTS)


def _raised(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the texts of what is raised."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            yield from _texts(node)


def _notes_on_swift() -> Iterator[str]:
    """Yield what is said of options of ms-swift that are refused."""
    for line in (SOURCES / "cli" / "swift_options.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") and line.split("\t")[2] == "refused":
            yield line.split("\t")[4]


def no_messages() -> set[str]:
    """Read the texts that read as prose and are no messages."""
    return set(map(json.loads, NO_MESSAGES.read_text(encoding="utf-8").splitlines()))


def _texts(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the outermost texts of a module but for docstrings, types and what is no message."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.Call) and _name(child.func) in PASSED_OVER:
            continue
        if isinstance(child, ast.Assign | ast.AugAssign) and "en" in _assigned(child):
            continue  # the Chinese stands beside it
        if isinstance(child, ast.JoinedStr):
            yield child
            holes = (value.value for value in child.values if isinstance(value, ast.FormattedValue))
            for hole in holes:
                yield from () if isinstance(hole, ast.IfExp) else _texts(hole)
        elif _is_text(child):
            assert isinstance(child, ast.Constant)
            yield child
        else:
            yield from _texts(child)


def _assigned(node: ast.Assign | ast.AugAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = (each for target in targets for each in ast.walk(target))
    return {name.id for name in names if isinstance(name, ast.Name)}


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _variants(node: ast.expr) -> Iterator[Parts]:
    """Yield the parts of a text, None for a hole, each way that it may be written."""
    if isinstance(node, ast.JoinedStr):
        for chosen in product(*map(list, map(_pieces, node.values))):
            yield [part for parts in chosen for part in parts]
    elif isinstance(node, ast.Constant):
        pieces: Parts = []
        for index, piece in enumerate(HOLE.split(str(node.value))):
            pieces += [None, piece] if index else [piece]
        yield pieces


def _pieces(value: ast.expr) -> Iterator[Parts]:
    if isinstance(value, ast.Constant):
        yield [str(value.value)]
    elif isinstance(value, ast.FormattedValue):
        inner = value.value
        branches = [inner.body, inner.orelse] if isinstance(inner, ast.IfExp) else [inner]
        for branch in branches:
            written = list(_variants(branch))
            yield from written or [[None]]


def _numbered(parts: Parts) -> str:
    """Write a template: holes beside each other are one."""
    template, holes, is_behind_hole = "", 0, False
    for part in parts:
        if part is None and not is_behind_hole:
            holes += 1
            template += f"{{{holes}}}"
        template += part or ""
        is_behind_hole = part is None or (is_behind_hole and not part)
    return template


def main() -> None:
    """Print what has no Chinese, and the Chinese that no source has."""
    catalogue = read_catalogue()
    for template, module in templates().items():
        if template not in catalogue:
            print(f'# {module}\n{json.dumps(template, ensure_ascii=False)} = ""')


if __name__ == "__main__":
    main()
