"""Does what is installed work? Every way to install, each in an environment of its own.

    python -m recipes.installs                # all of them, and a Markdown table at the end
    python -m recipes.installs thin local     # those whose names begin with one of these

A wheel and an sdist are built first; what is installed from them runs in another folder. An
environment is removed when its case is done: at most 7 GB lie on the disk at once, in TMPDIR. A
Python that is not on the machine is named in the table. Run by `make test-install`; not in CI.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recipes.install_trials import (
    Environment,
    TrialError,
    try_all,
    try_local,
    try_openvino,
    try_thin,
)

ROOT = Path(__file__).parent.parent
EXTRAS = ("local", "int8", "metrics", "parquet", "s3", "ray")
"""All that go into one environment; vLLM wants a torch of its own."""
PYTHONS = ("3.11", "3.12", "3.13")
GIGABYTE = 1e9
_FLOOR = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)")
_OWN = re.compile(r"shenhe\[([\w,]+)\]")


@dataclass(frozen=True, slots=True)
class Case:
    """One way to install: the interpreter, where the package comes from, its extras, its versions.

    `then` are extras that are added to an environment that has done its work without them.
    """

    name: str
    python: str
    source: str = "wheel"
    extras: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    versions: str = "newest"


def cases() -> Iterator[Case]:
    """List every case, the quick ones first."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield Case("thin sdist", own, source="sdist")
    yield Case("thin lowest", own, versions="lowest")
    yield Case("thin tested", own, versions="tested")
    for python in PYTHONS:
        yield Case(f"thin {python}", python)
    yield Case("openvino", own, then=("openvino",), versions="tested")
    for python in PYTHONS:
        yield Case(f"local {python}", python, then=("local",), versions="tested")
    yield Case("all lowest", own, source="folder", extras=EXTRAS, versions="lowest")
    yield Case("all newest", own, source="folder", extras=EXTRAS)


def requirements(extras: Iterable[str]) -> list[str]:
    """List what the package asks for, with some of its extras and those that they imply."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    wanted = [requirement for extra in extras for requirement in optional[extra]]
    needed: list[str] = list(project["dependencies"])
    while wanted:
        requirement = wanted.pop(0)
        if own := _OWN.fullmatch(requirement):
            wanted = [one for extra in own[1].split(",") for one in optional[extra]] + wanted
        elif requirement not in needed:
            needed.append(requirement)
    return needed


def floors(needed: Iterable[str]) -> list[str]:
    """Hold each requirement to its lowest version.

    Raises: ValueError for one that has none.

    floors(["openai[aiohttp]>=3.50"]) == ["openai==3.50"]
    """
    pinned = []
    for requirement in needed:
        floor = _FLOOR.match(requirement)
        if floor is None:
            raise ValueError(f"{requirement}: has no lowest version")
        pinned.append(f"{floor[1]}=={floor[2]}")
    return pinned


def find_python(version: str) -> str | None:
    """Find an interpreter by its version: on the path, or among those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    chosen = [sys.executable] if sys.version.startswith(f"{version}.") else []
    on_path = shutil.which(f"python{version}")
    chosen += [on_path] if on_path else []
    chosen += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for python in chosen:
        shown = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False)
        if shown.returncode == 0:
            return python
    return None


def main(names: Iterable[str]) -> int:
    """Go through the cases and print their table; 1 where one of them failed."""
    beginnings = tuple(names) or ("",)
    rows, is_bad = [], False
    with tempfile.TemporaryDirectory(prefix="installs-") as scratch:
        built = _build(Path(scratch))
        for case in cases():
            if case.name.startswith(beginnings):
                row, is_done = _row(case, built, Path(scratch))
                rows.append(row)
                is_bad |= not is_done
                print(row, flush=True)
    print(
        "\n| case | Python | from | versions | done | size | time |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))
    return int(is_bad)


def _row(case: Case, built: dict[str, str], scratch: Path) -> tuple[str, bool]:
    """Do a case; gives its row of the table, and whether all was done."""
    python = find_python(case.python)
    extras = "+".join((*case.extras, *case.then)) or "thin"
    head = f"| {extras} | {case.python} | {case.source} | {case.versions} |"
    if python is None:
        return f"{head} no such Python here | - | - |", True
    folder, start = scratch / case.name.replace(" ", "-"), time.monotonic()
    try:
        environment, done = _do(case, python, built, folder), "all"
        size = f"{environment.size / GIGABYTE:.2f} GB"
    except (TrialError, subprocess.CalledProcessError) as error:
        done, size = " ".join(str(error).split())[:300].replace("|", "/"), "-"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return f"{head} {done} | {size} | {time.monotonic() - start:.0f} s |", done == "all"


def _do(case: Case, python: str, built: dict[str, str], folder: Path) -> Environment:
    """Install and try.

    Raises: TrialError; CalledProcessError for an installation that fails.
    """
    subprocess.run([python, "-m", "venv", folder / "env"], check=True)
    constraints = folder / "constraints.txt"
    lines: list[str] = []
    if case.versions == "lowest":
        lines = floors(requirements(case.extras))
    elif case.versions == "tested":
        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    environment = Environment(folder / "env", folder / "elsewhere", ROOT)
    environment.work.mkdir()
    package = built[case.source]
    environment.install(constraints, _with_extras(package, case.extras))
    if not case.extras:
        try_thin(environment)
    if case.then:
        environment.install(constraints, _with_extras(package, case.then))
        (try_openvino if "openvino" in case.then else try_local)(environment)
    if case.extras:
        try_all(environment)
    return environment


def _with_extras(package: str, extras: tuple[str, ...]) -> str:
    return f"{package}[{','.join(extras)}]" if extras else package


def _build(scratch: Path) -> dict[str, str]:
    """Build wheel and sdist; gives what pip installs, by the name of its source."""
    folder = scratch / "build"
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "hatchling>=1.27"], check=True)
    subprocess.run([python, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": str(wheel), "sdist": str(sdist), "folder": str(ROOT)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
