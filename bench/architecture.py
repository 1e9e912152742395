"""Figures of the code: house words, `Any`, longest files and functions, arrows between modules.

    python -m bench.architecture [CHECKOUT]

Counts are of `src/shenhe` alone. House words are names that say nothing of what they hold.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HOUSE_WORDS = frozenset(
    [
        "asked",
        "begun",
        "few",
        "found",
        "given",
        "known",
        "least",
        "many",
        "more",
        "most",
        "odd",
        "one",
        "ones",
        "other",
        "others",
        "place",
        "places",
        "rest",
        "said",
        "same",
        "seen",
        "some",
        "such",
        "that",
        "there",
        "these",
        "thing",
        "things",
        "this",
        "those",
        "told",
        "wanted",
        "what",
        "where",
        "which",
    ]
)
ROOT = Path(__file__).parent.parent
FUNCTION_LINES, FILE_LINES = 40, 300


class Function(NamedTuple):
    """A function and its length, from its `def` to its last line."""

    name: str
    lines: int


def assigned_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names of variables and parameters where they are bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def house_words(trees: dict[str, ast.AST]) -> tuple[int, int]:
    """Count the assigned names that are house words, and all of them."""
    names = [name.strip("_") for tree in trees.values() for name in assigned_names(tree)]
    return sum(name in HOUSE_WORDS for name in names), len(names)


def functions(trees: dict[str, ast.AST]) -> list[Function]:
    """List all functions, the longest first."""
    nodes = (
        (name, node)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = [
        Function(f"{name}.{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for name, node in nodes
    ]
    return sorted(lengths, key=lambda function: -function.lines)


def count_any(texts: dict[str, str]) -> int:
    """Count the uses of `Any`, imports aside."""
    lines = (line for text in texts.values() for line in text.splitlines())
    return sum(len(re.findall(r"\bAny\b", line)) for line in lines if "import" not in line)


def arrows(trees: dict[str, ast.AST], package: str) -> int:
    """Count the imports between the modules of a package."""
    inside = [name for name in trees if name.startswith(f"{package}.")]
    count = 0
    for name in inside:
        imported = set()
        for node in ast.walk(trees[name]):
            if isinstance(node, ast.ImportFrom) and node.module:
                base = node.module.removeprefix("shenhe.")
                imported |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        count += sum(other in imported and other != name for other in inside)
    return count


def untyped_reads(trees: dict[str, ast.AST]) -> int:
    """Count the reads of attributes of an `argparse.Namespace`, which no type checks."""
    count = 0
    for tree in trees.values():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            untyped = {
                arg.arg
                for arg in node.args.args
                if arg.annotation and ast.unparse(arg.annotation) == "argparse.Namespace"
            }
            count += sum(
                isinstance(inner, ast.Attribute)
                and isinstance(inner.value, ast.Name)
                and inner.value.id in untyped
                for inner in ast.walk(node)
            )
    return count


def main() -> int:
    """Print the figures as rows of a table."""
    package = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT) / "src" / "shenhe"
    paths = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
    }
    texts = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    trees: dict[str, ast.AST] = {name: ast.parse(text) for name, text in texts.items()}
    lengths = {name: len(text.splitlines()) for name, text in texts.items()}
    total = sum(lengths.values())
    of_house, names = house_words(trees)
    every = functions(trees)
    longest = sorted(lengths.items(), key=lambda item: -item[1])
    anys = count_any(texts)
    for label, value in (
        ("files", len(paths)),
        ("lines", total),
        ("house words among assigned names", f"{of_house / names:.1%} ({of_house} of {names})"),
        ("`Any` in 1,000 lines", f"{1000 * anys / total:.1f} ({anys})"),
        (f"files over {FILE_LINES} lines", sum(size > FILE_LINES for size in lengths.values())),
        ("longest files", ", ".join(f"{name} {size}" for name, size in longest[:3])),
        (f"functions over {FUNCTION_LINES} lines", sum(f.lines > FUNCTION_LINES for f in every)),
        ("longest functions", ", ".join(f"{f.name} {f.lines}" for f in every[:3])),
        ("imports between modules of runs", arrows(trees, "runs")),
        ("imports between modules of rows", arrows(trees, "rows")),
        ("imports between modules of engines", arrows(trees, "engines")),
        ("untyped reads of options", untyped_reads(trees)),
    ):
        print(f"| {label} | {value} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
