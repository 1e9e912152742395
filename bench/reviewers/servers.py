"""The servers of a team: two of them, each with a copy of the run, on one database."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from shenhe.database import identify_run
from shenhe.team import People, open_database
from tests.review.runs import Group, write_run
from tests.servers.starting import free_port

PHOTOS = Path(__file__).parent.parent.parent / "src" / "shenhe" / "demo" / "photos"
PASSWORD = "三人一起审核 2026"
"""Of all accounts."""


def write_machines(folder: Path, groups: int) -> list[Path]:
    """Write the run, and a copy of it with the same identity, as a second machine would have it."""
    photo = next(iter(sorted(PHOTOS.rglob("img-*.jpeg"))))
    rows = [Group(f"QC-20261101-{number:07d}") for number in range(1, groups + 1)]
    first = write_run(folder / "first", rows, [photo])
    identify_run(first)
    return [first, Path(shutil.copytree(first, folder / "second"))]


def add_accounts(run_dir: Path, url: str, inspectors: tuple[str, ...], lead: str) -> None:
    """Add the people of a team."""
    database = open_database(run_dir, url)
    accounts = People.of(database).accounts
    accounts.add(lead, "lead", "bench")
    for name in inspectors:
        accounts.add(name, "inspector", "bench")
    for name in (lead, *inspectors):
        accounts.set_password(name, PASSWORD, "bench")
    database.close()


class Server:
    """`shenhe review` on a port that it keeps, also after it was killed."""

    def __init__(self, run_dir: Path, url: str, share: float) -> None:
        self.run_dir, self._url, self._share, self._port = run_dir, url, share, free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self.launch()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def launch(self) -> None:
        """Start the process, without waiting until it answers."""
        command = [
            *(sys.executable, "-m", "shenhe", "review", str(self.run_dir)),
            *("--port", str(self._port), "--second-share", str(self._share)),
        ]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"SHENHE_DATABASE": self._url},
        )

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert re.search(r"http://\S+", line), line

    def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
