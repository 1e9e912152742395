"""Real parts for the tests: the bundled checkpoint, its engine, photo trees on disk."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from PIL import Image

from shenhe.cli.flags import on_the_command_line
from shenhe.errors import spelling

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from shenhe.engines.local.engine import LocalEngine
    from tests.servers.postgres import Postgres

# Messages are those that nobody has asked a language for, whatever the machine speaks.
os.environ["LC_ALL"] = "C.UTF-8"

# How long an example takes says more of the machine than of the code.
settings.register_profile("without_times", deadline=None)
settings.load_profile("without_times")

DEMO = Path(__file__).parent.parent / "src" / "shenhe" / "demo"
MISSION = "挡风板安装检查"

LONGEST = (
    *("review/test_deciding.py", "review/test_hand.py", "review/test_browser.py"),
    *("runs/test_server_runs.py", "cli/test_commands.py", "service/test_home_browser.py"),
    *("review/test_accessible.py", "review/test_viewer.py", "engines/test_server.py"),
    *("engines/test_constrained.py", "service/test_chat.py", "cli/test_captions.py"),
    *("review/test_geometry.py", "cli/test_verifying.py", "test_switch.py", "runs/test_kill.py"),
    *("promise/test_watch_page.py", "engines/test_contract.py", "review/test_evidence.py"),
    *("promise/test_bound.py", "review/test_audit.py", "review/test_served.py"),
    *("service/test_served.py", "cli/test_servers.py", "review/test_team_work.py"),
)
"""Files of tests that take more than ten seconds, the longest first."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell at once what fails: a run that is ended from outside prints no summary."""
    if report.outcome in ("failed", "rerun") and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\n{report.nodeid} failed:\n{report.longreprtext}", flush=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files run first, so that all processes end at about the same time."""
    order = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish() -> None:
    """Leave what modules hold out of further collections of garbage: each took a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _as_on_the_command_line() -> Iterator[None]:
    """Messages write options as the command line does, also those of modules below it."""
    with spelling(on_the_command_line):
        yield


@pytest.fixture(scope="session")
def engine() -> LocalEngine:
    """The bundled base and adapter in float32, which is exact enough to compare texts."""
    # The process that hands tests out to others loads this file too, and needs no torch.
    from shenhe.engines.base import EngineSpec
    from shenhe.engines.local.engine import LocalEngine
    from shenhe.engines.options import LocalOptions

    return LocalEngine(
        EngineSpec(
            model="demo", adapters=("demo",), batch_size=4, engine=LocalOptions(dtype="float32")
        )
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of all tests that need one: Playwright has one in a process."""
    from tests.browsers import open_browser  # other engines' environments have no Playwright

    yield from open_browser()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL of all tests that need one; `database_url` is a new database in it."""
    from tests.servers.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def shared_url(postgres: Postgres) -> str:
    """The address of a database in PostgreSQL that the runs of many tests share."""
    return postgres.new_database()


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    """The address, with its password, of an empty database in PostgreSQL."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def demo_photos() -> list[Path]:
    """The bundled photos that can be read, in order."""
    readable = []
    for path in sorted((DEMO / "photos").rglob("img-*")):
        try:
            with Image.open(path) as image:
                image.load()
        except OSError:
            continue
        readable.append(path)
    return readable


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the bundled photo tree."""
    return Path(shutil.copytree(DEMO / "photos", tmp_path / "照片 tree"))


@pytest.fixture
def make_group(tmp_path: Path) -> Callable[..., Path]:
    """Makes tree/<mission>/[label/]<group> with photos of the given names."""

    def make(group: str, *photos: str, label: str = "", mission: str = MISSION) -> Path:
        folder = tmp_path / "tree" / mission / label / group
        folder.mkdir(parents=True)
        for index, name in enumerate(photos):
            Image.new("RGB", (64, 48), (40 * index % 255, 90, 120)).save(folder / name, "JPEG")
        return folder

    return make
