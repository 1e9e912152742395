"""Public names have an example; each `>>>` gives what stands below it."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
EXAMPLES = [path for path in sorted(SOURCE.rglob("*.py")) if ">>> " in path.read_text("utf-8")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_examples_are_true(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    assert doctest.testmod(module).failed == 0


def _public_names() -> list[tuple[str, str]]:
    """List the classes and functions that a package gives by `__all__`, with the package."""
    names = []
    for path in sorted((SOURCE / "shenhe").rglob("__init__.py")):
        if "__all__" in path.read_text("utf-8"):
            package = ".".join(path.parent.relative_to(SOURCE).parts)
            module = importlib.import_module(package)
            names += [(package, name) for name in module.__all__]
    return names


def _has_example(node: ast.AST, docstring: str) -> bool:
    """Whether a docstring holds a `>>>`, or lines that are indented more than its text."""
    indent = getattr(node, "col_offset", 0) + 8
    lines = docstring.splitlines()[1:]
    return ">>>" in docstring or any(line.startswith(" " * indent) for line in lines)


@pytest.mark.parametrize(("package", "name"), _public_names())
def test_public_names_have_an_example(package: str, name: str) -> None:
    value = getattr(importlib.import_module(package), name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return
    source = Path(inspect.getsourcefile(value) or "").read_text("utf-8")
    nodes = (n for n in ast.parse(source).body if isinstance(n, ast.ClassDef | ast.FunctionDef))
    (node,) = (node for node in nodes if node.name == value.__name__)
    assert _has_example(node, ast.get_docstring(node, clean=False) or "")
