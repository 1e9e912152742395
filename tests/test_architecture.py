"""The house rules that can be checked: layers, cycles, imports, the README's file tree."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import shenhe
from shenhe import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "shenhe"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLE = re.search(r"## Layers\n.*?```\n(.*?)```", CONTRIBUTING, re.DOTALL)
assert TABLE, "CONTRIBUTING.md has no table of layers"
LAYER = {
    name.strip("/"): int(number)
    for number, *names in (line.split() for line in TABLE[1].splitlines())
    for name in names
}
TOP = {"__init__", "__main__"}  # the two doors of the package


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "__init__"


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _imports(path: Path) -> set[str]:
    """Every shenhe module that a file imports, also lazily."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "shenhe":
            base = (node.module or "").removeprefix("shenhe").lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                found.add(name if name in MODULES else base)
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("shenhe.") for a in node.names if "shenhe." in a.name}
    return found - {""}


@cache
def _graph() -> dict[str, set[str]]:
    """Read what each module imports; not while tests are collected: each process does that."""
    return {name: _imports(path) for name, path in MODULES.items()}


def test_every_module_has_a_layer() -> None:
    assert {name.split(".")[0] for name in MODULES} - TOP == LAYER.keys()


@pytest.mark.parametrize("name", sorted(set(MODULES) - TOP))
def test_imports_go_upwards_only(name: str) -> None:
    own = name.split(".")[0]
    for imported in _graph()[name]:
        other = imported.split(".")[0]
        if other == own or other in TOP:
            continue
        assert LAYER[other] < LAYER[own], f"{name} imports {imported}"


def test_stages_and_engines_never_meet() -> None:
    for name, imported in _graph().items():
        if name.startswith(("stages", "engines")):
            other = "engines" if name.startswith("stages") else "stages"
            assert not any(module.startswith(other) for module in imported), name


def test_rooms_that_read_rows_never_run() -> None:
    for name, imported in _graph().items():
        if name.split(".")[0] in ("doctor", "evaluation", "report", "review"):
            assert not any(module.split(".")[0] == "runs" for module in imported), name


def test_no_cycles() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"cycle: {' -> '.join((*path, name))}"
        if name in done:
            return
        for imported in _graph().get(name, ()):
            if imported != name:
                visit(imported, (*path, name))
        done.add(name)

    for name in set(MODULES) - TOP:
        visit(name, ())


def test_help_imports_no_torch() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "shenhe", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in run.stderr.splitlines() if "|" in line}
    assert not {"torch", "transformers", "pydantic", "PIL", "numpy"} & imported
    assert "Stage-A" in run.stdout


LOCAL_LIBRARIES = {"torch", "transformers", "peft", "torchao", "safetensors", "accelerate"}
"""What the extra `local` brings."""
LOCAL = re.search(r"`local` \(torch, transformers, PEFT\): (.*?)\.", CONTRIBUTING, re.DOTALL)
assert LOCAL, "CONTRIBUTING.md does not say what imports torch"
LOCAL_MODULES = tuple(re.findall(r"`([\w/]+)`", LOCAL[1].replace("/`", "`")))


def _at_import(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every module that is imported when a file is, and not only when a function runs."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from _at_import(ast.iter_child_nodes(node))


def test_what_needs_no_model_here_imports_no_torch() -> None:
    graph = {
        name: {
            module.removeprefix("shenhe.")
            for module in _at_import([ast.parse(path.read_text(encoding="utf-8"))])
        }
        for name, path in MODULES.items()
    }
    ways: dict[str, tuple[str, ...]] = {}

    def way_to_torch(name: str) -> tuple[str, ...]:
        """The imports by which a module comes to one of the libraries; empty if it does not."""
        if name not in ways:
            ways[name] = ()
            parents = {name.rpartition(".")[0]} & graph.keys()
            for module in graph[name] | parents:
                if module.split(".")[0] in LOCAL_LIBRARIES:
                    ways[name] = (name, module)
                elif module in graph and (rest := way_to_torch(module)):
                    ways[name] = (name, *rest)
        return ways[name]

    allowed = tuple(module.replace("/", ".") for module in LOCAL_MODULES)
    for name in graph:
        assert name.startswith(allowed) or not way_to_torch(name), way_to_torch(name)
    for module in allowed:  # and each of them has its reason
        assert any(way_to_torch(name) for name in graph if name.startswith(module)), module


def test_public_names_are_whole() -> None:
    assert sorted(shenhe.__all__) == shenhe.__all__
    assert all(getattr(shenhe, name) is not None for name in shenhe.__all__)


def test_error_tree_is_drawn() -> None:
    drawn = re.findall(r"(?:^|[─│├└ ]+)([A-Z]\w+(?:Error))\s", inspect.getdoc(errors) or "")
    classes = (value for value in vars(errors).values() if inspect.isclass(value))
    defined = [value.__name__ for value in classes if value.__module__ == errors.__name__]
    assert sorted(set(drawn)) == sorted(defined)


def test_broad_excepts_stand_at_the_wall_and_at_the_edge_alone() -> None:
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name)
                    and node.type.id in ("Exception", "BaseException")
                )
                assert not broad or name in ("cli.main", "errors"), f"{name}:{node.lineno}"


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_file_tree_in_the_readme_is_true(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    tree = re.search(r"```text\n(src/shenhe/.*?)```", text, re.DOTALL)
    assert tree
    named = set(re.findall(r"^ +([\w]+)(?:/|\.py)", tree[1], re.MULTILINE))
    real = {name.split(".")[0] for name in MODULES} - TOP | {"demo"}
    assert named == real


PAGES = [
    path for folder in (".", "docs", "docs/zh") for path in sorted((ROOT / folder).glob("*.md"))
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_the_docs_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name}: {target}"
