"""The house rules that are figures: names, types, sizes, docstrings, lines that stand twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from bench.architecture import (
    FILE_LINES,
    FUNCTION_LINES,
    ROOT,
    Source,
    count_any,
    functions,
    house_words,
    read_sources,
    repeated_runs,
    untyped_reads,
)
from tests.conftest import LONGEST

PACKAGE = ROOT / "src" / "shenhe"
NAMES = [".".join(p.relative_to(PACKAGE).with_suffix("").parts) for p in PACKAGE.rglob("*.py")]
ARRAYS = ("Tensor", "ndarray", "NDArray")


@cache
def _sources() -> dict[str, Source]:
    """Read all modules; not while tests are collected: each process does that."""
    return read_sources()


def test_names_say_what_they_hold() -> None:
    words, names = house_words(_sources())
    assert words <= 0.01 * names, f"{words} of {names} names say nothing, see HOUSE_WORDS"


def test_any_is_rare() -> None:
    lines = sum(source.lines for source in _sources().values())
    assert 1000 * count_any(_sources()) <= 3 * lines


def test_functions_and_files_are_short() -> None:
    long_functions = [f for f in functions(_sources()) if f.lines > FUNCTION_LINES]
    long_files = [name for name, source in _sources().items() if source.lines > FILE_LINES]
    assert len(long_functions) <= 6, long_functions
    assert len(long_files) <= 2, long_files


def test_every_option_is_read_with_its_type() -> None:
    assert untyped_reads(_sources()) == 0


def test_no_lines_stand_in_two_files() -> None:
    assert repeated_runs(_sources()) == []


def test_the_files_of_tests_that_run_first_exist() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []


def _public(node: ast.AST, public: bool = True) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Yield the public functions and methods with their docstrings, a class's own included."""
    inherited = (ast.get_docstring(node) or "") if isinstance(node, ast.ClassDef) else ""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _public(child, public and not child.name.startswith("_"))
        elif isinstance(child, ast.FunctionDef) and public and _is_public(child.name):
            yield child, (ast.get_docstring(child) or "") + inherited


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__post_init__")


def _raised(function: ast.FunctionDef) -> set[str]:
    """Name the errors of ours that a function raises and does not catch itself."""
    raised = _raised_in(function)
    for node in ast.walk(function):
        if isinstance(node, ast.Try):
            handlers = " ".join(ast.unparse(h.type) for h in node.handlers if h.type)
            inside = set().union(*map(_raised_in, node.body))
            raised -= {name for name in inside if name in handlers or "ShenheError" in handlers}
    return raised


def _raised_in(tree: ast.AST) -> set[str]:
    calls = (
        node.exc.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    )
    return {ast.unparse(call) for call in calls} & _errors()


@cache
def _errors() -> set[str]:
    nodes = ast.walk(_sources()["errors"].tree)
    return {node.name for node in nodes if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_docstrings_name_errors_and_shapes(name: str) -> None:
    for function, text in _public(_sources()[name].tree):
        if _raised(function):
            assert "Raises:" in text, f"{name}.{function.name} raises {_raised(function)}"
        if name.startswith("checkpoints."):  # weights of any shape
            continue
        annotations = [ast.unparse(a.annotation) for a in function.args.args if a.annotation]
        annotations += [ast.unparse(function.returns)] if function.returns else []
        if any(word in annotation for word in ARRAYS for annotation in annotations):
            assert "Shape:" in text, f"{name}.{function.name} does not say the shape of its arrays"
