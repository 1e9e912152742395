"""Figures of the code: house words, `Any`, longest files and functions, arrows between modules.

    python -m bench.architecture [CHECKOUT]

Counts are of `src/shenhe` alone. House words are names that say nothing of what they hold.
"""

from __future__ import annotations

import ast
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
FUNCTION_LINES, FILE_LINES, REPEATED_LINES = 40, 300, 6


class Source(NamedTuple):
    """A module: its text and its syntax tree."""

    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """The number of lines of the file."""
        return len(self.text.splitlines())


class Function(NamedTuple):
    """A function and its length, from its `def` to its last line."""

    name: str
    lines: int


def read_sources(checkout: Path = ROOT) -> dict[str, Source]:
    """Read the modules of a checkout by their names: `runs.drive`, `errors`."""
    package = checkout / "src" / "shenhe"
    sources = {}
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(package).with_suffix("").parts)
        sources[name] = Source(text, ast.parse(text))
    return sources


def assigned_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names of variables and parameters where they are bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def house_words(sources: dict[str, Source]) -> tuple[int, int]:
    """Count the assigned names that are house words, and all of them."""
    trees = (source.tree for source in sources.values())
    names = [name.strip("_") for tree in trees for name in assigned_names(tree)]
    return sum(name in HOUSE_WORDS for name in names), len(names)


def functions(sources: dict[str, Source]) -> list[Function]:
    """List all functions, the longest first."""
    lengths = [
        Function(f"{name}.{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for name, source in sources.items()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sorted(lengths, key=lambda function: -function.lines)


def count_any(sources: dict[str, Source]) -> int:
    """Count the uses of `Any`, imports aside."""
    return sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for source in sources.values()
        for node in ast.walk(source.tree)
    )


def arrows(sources: dict[str, Source], package: str) -> int:
    """Count the imports between the modules of a package."""
    inside = [name for name in sources if name.startswith(f"{package}.")]
    count = 0
    for name in inside:
        imported = set()
        for node in ast.walk(sources[name].tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                base = node.module.removeprefix("shenhe.")
                imported |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        count += sum(other in imported and other != name for other in inside)
    return count


def untyped_reads(sources: dict[str, Source]) -> int:
    """Count the reads of attributes of an `argparse.Namespace`, which no type checks."""
    count = 0
    for source in sources.values():
        for node in ast.walk(source.tree):
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


def repeated_runs(sources: dict[str, Source]) -> list[str]:
    """List the runs of REPEATED_LINES equal lines of code that stand in two files.

    Imports, comments and blank lines do not count.
    """
    first: dict[tuple[str, ...], tuple[str, int]] = {}
    repeated: list[str] = []
    for name, source in sources.items():
        code = _code_lines(source)
        for start in range(len(code) - REPEATED_LINES + 1):
            window = code[start : start + REPEATED_LINES]
            number, text = window[0].number, tuple(line.text for line in window)
            module, line = first.setdefault(text, (name, number))
            if module != name:
                repeated.append(f"{module}:{line} ~ {name}:{number}")
    return repeated


class _Line(NamedTuple):
    number: int
    text: str


def _code_lines(source: Source) -> list[_Line]:
    imports = {
        number
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = (
        _Line(number, text.strip())
        for number, text in enumerate(source.text.splitlines(), 1)
        if number not in imports
    )
    return [line for line in lines if line.text and not line.text.startswith("#")]


def main() -> int:
    """Print the figures as rows of a table."""
    sources = read_sources(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    lengths = {name: source.lines for name, source in sources.items()}
    total = sum(lengths.values())
    words, names = house_words(sources)
    every = functions(sources)
    longest = sorted(lengths.items(), key=lambda item: -item[1])
    uses = count_any(sources)
    for label, value in (
        ("files", len(sources)),
        ("lines", total),
        ("house words among assigned names", f"{words / names:.1%} ({words} of {names})"),
        ("`Any` in 1,000 lines", f"{1000 * uses / total:.1f} ({uses})"),
        (f"files over {FILE_LINES} lines", sum(size > FILE_LINES for size in lengths.values())),
        ("longest files", ", ".join(f"{name} {size}" for name, size in longest[:3])),
        (f"functions over {FUNCTION_LINES} lines", sum(f.lines > FUNCTION_LINES for f in every)),
        ("longest functions", ", ".join(f"{f.name} {f.lines}" for f in every[:3])),
        ("imports between modules of runs", arrows(sources, "runs")),
        ("imports between modules of rows", arrows(sources, "rows")),
        ("imports between modules of engines", arrows(sources, "engines")),
        ("untyped reads of options", untyped_reads(sources)),
        (f"runs of {REPEATED_LINES} equal lines in two files", len(repeated_runs(sources))),
    ):
        print(f"| {label} | {value} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
