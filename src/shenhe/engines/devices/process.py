"""One worker process: its start, its end, and what it said last."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from tempfile import TemporaryFile

from shenhe.engines.devices.protocol import FromWorker, ToWorker
from shenhe.printable import printable

CODE = (
    "import sys; sys.path[:] = sys.argv[2:];"
    " from shenhe.engines.devices.worker import main; main(int(sys.argv[1]))"
)
TAIL_BYTES, MAX_LAST_LINE = 8192, 300
SECONDS_TO_END = 5.0
"""How long a process may take to die by itself once its pipe is closed."""


class WorkerProcess:
    """A process at the other end of `connection`, in a session of its own: Ctrl-C is not its."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it; what it prints goes into a file, which its last line is read from."""
        ours, theirs = socket.socketpair()
        self._output = TemporaryFile()  # noqa: SIM115 - closed in `end`
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
                [sys.executable, "-c", CODE, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env=environment,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self.connection: Connection[ToWorker, FromWorker] = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The process's id, which is that of its group too."""
        return self._process.pid

    def end(self) -> str:
        """End the process and those that it has started, and say how it ended by itself if so."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)  # it takes a moment to die
        self.kill()
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        last_line = self._last_line()
        self._output.close()
        return f"{how}: {last_line}" if last_line else how

    def kill(self) -> None:
        """Kill the process and those that it has started."""
        self.connection.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_line(self) -> str:
        """Read the last line of its output; of a crash of native code the one that names it."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - TAIL_BYTES))
        text = self._output.read().decode("utf-8", "replace")
        lines = [" ".join(printable(line).split()) for line in text.splitlines() if line.strip()]
        crash = [line for line in lines if line.startswith("Fatal Python error")]
        return (crash or lines or [""])[-1][:MAX_LAST_LINE]
