"""What is declared, what is imported and what is shipped are the same things."""

from __future__ import annotations

import ast
import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from recipes.installs import EXTRAS, cases, floors, requirements

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_INSTALLED = {"ray": ["ray"], "vllm": ["vllm"]}
"""Modules of extras that are too large for the tests' environment, and their distributions."""
HOST = {"swift", "atheris"}
"""ms-swift imports `rewards/swift_plugin`, not the other way round; `make fuzz` brings atheris."""
BY_NAME = {
    "psycopg": "SQLAlchemy imports it for postgresql:// databases",
    "s3fs": "fsspec imports it when a URL begins with s3://",
}
TOOLS = {
    "hatchling",
    "mypy",
    "pre-commit",
    "pytest-rerunfailures",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
}
"""Programs, which nothing imports; hatchling is imported by this test alone."""
OURS = {"shenhe", "tests", "recipes", "bench"}


def _distributions(*folders: str) -> dict[str, set[str]]:
    """Give those who bring each foreign module that is imported, also lazily; one, as a rule."""
    known = packages_distributions()
    found = {}
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        where = path.relative_to(ROOT)
        if where.is_relative_to("tests/peers"):  # other tools, in environments of their own
            continue
        for module in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names | OURS | HOST:
                names = NOT_INSTALLED.get(top) or known.get(top, [top])
                found[f"{module} in {where}"] = {str(canonicalize_name(name)) for name in names}
    return found


def _imported(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def _names(needed: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in needed}


def _declared(extras: Iterable[str]) -> set[str]:
    return _names(requirements(extras))


EVERY_EXTRA = set(PROJECT["optional-dependencies"])
FOR_USERS = EVERY_EXTRA - {"dev"}


@pytest.mark.parametrize(
    ("folders", "extras"), [(["src"], FOR_USERS), (["tests", "recipes", "bench"], EVERY_EXTRA)]
)
def test_what_is_imported_is_declared(folders: list[str], extras: set[str]) -> None:
    declared = _declared(extras)
    brought = _distributions(*folders)
    assert [where for where, names in brought.items() if not names & declared] == []


def test_what_is_declared_is_imported() -> None:
    imported = set().union(*_distributions("src").values())
    assert _declared(FOR_USERS) - imported - set(BY_NAME) == set()
    imported |= set().union(*_distributions("tests", "recipes", "bench").values())
    assert _names(PROJECT["optional-dependencies"]["dev"]) - imported - TOOLS == {"shenhe"}


def test_every_floor_is_one_and_below_what_is_tested() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[canonicalize_name(name)] = Version(version)
    # Those two are tried with versions of their own: recipes/installs, tests/peers.
    tested = EVERY_EXTRA - {"vllm", "ray"}
    for pin in floors(requirements(tested)):
        name, _, version = pin.partition("==")
        assert Version(version) <= pins[canonicalize_name(name)], pin
    assert set(EXTRAS) < set(PROJECT["optional-dependencies"])
    with pytest.raises(ValueError, match="no lowest version"):
        floors(["pillow"])
    assert floors(["openai[aiohttp]>=3.50", "peft>=0.19,<0.22"]) == ["openai==3.50", "peft==0.19"]


def test_extras_bring_what_they_imply() -> None:
    assert _declared([]) & {"torch", "transformers", "peft", "safetensors"} == set()
    for extra in ("int8", "ray", "vllm", "dev"):
        assert _declared(["local"]) <= _declared([extra]), extra
    assert len(list(cases())) == len({case.name for case in cases()})


def test_the_wheel_holds_types_and_every_file_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hatchling.build import build_wheel

    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        shipped = {name for name in wheel.namelist() if name.startswith("shenhe/")}
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        told = message_from_bytes(wheel.read(metadata))
    assert told["License-Expression"] == "Apache-2.0 AND OFL-1.1"
    licences = told.get_all("License-File") or []
    assert sorted(licences) == ["LICENSE", "src/shenhe/overlays/OFL.txt"]
    package = ROOT / "src" / "shenhe"
    there = {
        f"shenhe/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "shenhe/py.typed" in shipped
    assert shipped == there


def test_the_sdist_holds_every_picture_of_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hatchling.build import build_sdist

    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / build_sdist(str(tmp_path))) as sdist:
        shipped = {name.partition("/")[2] for name in sdist.getnames()}
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"!\[[^\]]*\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            picture = (page.parent / target).resolve().relative_to(ROOT)
            assert picture.as_posix() in shipped, f"{page.name}: {target}"
