"""Debian's PostgreSQL with a data folder of its own, on a free port of this machine.

It syncs to disk as in production, and asks for a password. Tests use the fixtures `postgres`, the
server, and `database_url`, a new database in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.starting import free_port

USER = "reviewers"
PASSWORD = "geheim-7f3a"
"""Stands in every address, so that tests can look for it where it must not be."""
BINARIES = "/usr/lib/postgresql/*/bin"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "timezone": "UTC",
}
START_SECONDS = 30


class Postgres:
    """A running server; its data folder survives `kill9` and `restart`."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.port = free_port()
        self._binaries, self._folder = binaries, folder
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def url(self, database: str = "postgres") -> str:
        """Give the address of a database, with its password."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; give its address."""
        import psycopg

        self._databases += 1
        name = f"review_{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    @contextmanager
    def closed(self, url: str) -> Iterator[None]:
        """Cut all connections to a database meanwhile, and let nobody connect to it."""
        import psycopg

        name = url.rpartition("/")[2]
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute(cut, [name])
            yield
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        command = [self._binaries / "postgres", "-D", self._data, f"-p{self.port}", *settings]
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                # After a kill its last children may still hold the data folder.
                self._process = self._run(*map(str, command))
            if time.monotonic() > until:
                raise AssertionError(self._log.read_text("utf-8", "replace")[-3000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as `pg_ctl stop -m fast` does; what was committed is on disk."""
        self._end(signal.SIGINT)

    def abandon(self) -> None:
        """End it without writing what only memory holds: its folder is no longer needed."""
        self._end(signal.SIGQUIT)

    def kill9(self) -> None:
        """Kill it in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again; every connection is lost."""
        self.stop()
        self.start()

    def make(self) -> None:
        """Make the data folder, of the one user who has a password."""
        if self._user:
            shutil.chown(self._folder, self._user)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        making = self._run(
            *(str(self._binaries / "initdb"), "--no-sync", "--username", USER, "--encoding=UTF8"),
            *("--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}", self._data),
        )
        assert making.wait() == 0, self._log.read_text("utf-8", "replace")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return self._process is not None

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Make and start a server; its folder is removed at the end.

    Without PostgreSQL the tests are skipped, and fail where SHENHE_TESTS_NEED_SERVERS is set.
    """
    paths = sorted(Path("/").glob(f"{BINARIES.lstrip('/')}/initdb"))
    if not paths:
        if os.environ.get("SHENHE_TESTS_NEED_SERVERS"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Not pytest's folder: only its own user may enter that.
    folder = Path(tempfile.mkdtemp(prefix="shenhe-postgres-"))
    server = Postgres(paths[-1].parent, folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.abandon()
        shutil.rmtree(folder, ignore_errors=True)
