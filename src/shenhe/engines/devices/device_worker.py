"""One device of an engine: its worker process, or the next one, and what is with it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from contextlib import suppress
from typing import Final

from shenhe.engines.devices.process import WorkerProcess
from shenhe.engines.devices.protocol import Failed, FromWorker, Start, Stop, ToWorker
from shenhe.engines.workers import MAX_FAILED_STARTS
from shenhe.messages import Request

MAX_DEATHS: Final = 20
"""Deaths of one device's workers after which it is given up, whatever they did between them."""


class DeviceWorker:
    """A device, and the requests that its worker has not answered.

    `process` is None after a death, until `start`; `given_up` is why there will be no other.
    """

    def __init__(self, device: str, environment: Mapping[str, str], start: Start) -> None:
        """Name a device and what its workers load."""
        self.device, self._environment, self._start = device, environment, start
        self.process: WorkerProcess | None = None
        self.ready = self.alone = False
        self.requests: dict[str, Request] = {}
        self._stopped: set[str] = set()
        self.given_up = self._last_error = ""
        self._deaths = self._deaths_in_a_row = 0

    def start(self) -> None:
        """Start a process, which then loads the model."""
        self.process = WorkerProcess(self._environment)
        self.send(self._start)

    def send(self, message: ToWorker) -> None:
        """Send a message; of a dead worker one learns when one listens."""
        if self.process is not None:
            with suppress(OSError):
                self.process.connection.send(message)

    def receive(self) -> FromWorker | None:
        """Wait for the next message; None if the worker has died."""
        if self.process is None:
            return None
        try:
            message = self.process.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, Failed) and not message.call:
            self._last_error = str(message.error)
        return message

    def stop(self, keys: Container[str]) -> None:
        """Tell the worker which of its requests are among these, that nobody waits for."""
        for key in self.requests:
            if key in keys and key not in self._stopped:
                self._stopped.add(key)
                self.send(Stop(key))

    def note_answer(self, key: str) -> None:
        """Note that a request is answered: the worker is alive."""
        self.requests.pop(key, None)
        self._stopped.discard(key)
        self.alone = self.alone and bool(self.requests)
        self._deaths_in_a_row, self._last_error = 0, ""

    def note_death(self) -> str:
        """Note that the worker has died, and say how; its requests are left to the caller."""
        reason = self.process.end() if self.process is not None else ""
        reason = self._last_error or reason
        self.process, self.ready, self.alone = None, False, False
        self._deaths, self._deaths_in_a_row = self._deaths + 1, self._deaths_in_a_row + 1
        if self._deaths >= MAX_DEATHS or self._deaths_in_a_row >= MAX_FAILED_STARTS:
            self.given_up = reason
        return reason

    def forgive(self) -> None:
        """Take the last deaths as those of a request: the device is not to blame for them."""
        self._deaths_in_a_row = 0
        if self._deaths < MAX_DEATHS:
            self.given_up = ""

    def forget(self) -> None:
        """Drop what the worker was asked: nobody waits for it."""
        self.requests.clear()
        self._stopped.clear()
        self.alone = False

    def kill(self) -> None:
        """Kill the process, which is no death of its own."""
        self.forget()
        if self.process is not None:
            self.process.kill()
            self.process.end()
        self.process, self.ready = None, False
