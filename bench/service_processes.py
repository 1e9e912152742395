"""The processes of a service under test, which are killed (-9) and started again while it works."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.servers.postgres import Postgres
from tests.servers.starting import free_port

AWAY_SECONDS = 1.0
START_SECONDS = 120
STARTED = "--- started ---"
UP = re.compile(r"^service: http|^working the jobs", re.MULTILINE)


class ServeProcess:
    """`shenhe serve` in one role, with a port that it keeps, started again when it ends."""

    def __init__(self, role: str, number: int, folder: Path, url: str, more: Sequence[str]) -> None:
        self.role, port = role, free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.peak_mb = 0.0
        self.kills = self.ends = 0
        self._log = folder / f"{role}-{number}.log"
        self._command = [
            *(sys.executable, "-m", "shenhe", "serve", "--role", role),
            *("--data", str(folder / "data"), "--port", str(port), *more),
        ]
        self._environment = os.environ | {"SHENHE_DATABASE": url, "OMP_NUM_THREADS": "1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._log.open("ab") as log:
            log.write(f"{STARTED}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment
            )

    def tend(self) -> None:
        """Note how much memory it has; start it again if it ended, as a supervisor does.

        It may end by itself for one reason alone: it was started while the database was down.
        """
        with self._lock:
            assert self._process is not None
            if self._process.poll() is None:
                self._note_memory()
                return
            text = self._log.read_text("utf-8", "replace")[-2000:]
            if self._process.returncode != 2 or not text.rstrip().endswith("nothing is lost"):
                raise SystemExit(f"{self.role} ended with {self._process.returncode}:\n{text}")
            self.ends += 1
            self.start()

    def kill(self) -> None:
        """Kill it, leave its children to find out, and start it again."""
        with self._lock:
            assert self._process is not None
            self._note_memory()
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self.kills += 1
            time.sleep(AWAY_SECONDS)
            self.start()

    def stop(self) -> int:
        """End it as an operator does, once it serves; give its exit code."""
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while not UP.search(self._log.read_text("utf-8", "replace").rpartition(STARTED)[2]):
            time.sleep(0.2)
            if self._process.poll() is not None or time.monotonic() > until:
                break
        self._process.terminate()
        return self._process.wait(60)

    def abandon(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _note_memory(self) -> None:
        assert self._process is not None
        with suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            peak = re.search(r"VmHWM:\s+(\d+)", status)
            self.peak_mb = max(self.peak_mb, int(peak[1]) / 1024 if peak else 0)


class Killer:
    """Kills and restarts at shares of the work, so that it happens all along, at any speed."""

    def __init__(self, processes: Sequence[ServeProcess], postgres: Postgres) -> None:
        self._processes, self._postgres = processes, postgres
        self._random = random.Random(11)
        self.restarts = 0

    async def run(self, kills: int, restarts: int, progress: Callable[[], float]) -> None:
        """Do all of it, each at its share of the progress, from 0 to 1."""
        counts = {"api": kills, "worker": kills, "postgres": restarts}
        steps = sorted(
            (number / (count + 1), subject)
            for subject, count in counts.items()
            for number in range(1, count + 1)
        )
        for share, subject in steps:
            while progress() < share:
                await asyncio.sleep(0.1)
            if subject == "postgres":
                await asyncio.to_thread(self._restart)
            else:
                processes = [each for each in self._processes if each.role == subject]
                await asyncio.to_thread(self._random.choice(processes).kill)

    def _restart(self) -> None:
        """Restart the database: the first time killed, then as an operator does."""
        self.restarts += 1
        if self.restarts % 2:
            self._postgres.kill9()
        else:
            self._postgres.stop()
        time.sleep(AWAY_SECONDS)
        self._postgres.start()
