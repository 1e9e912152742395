"""An event loop in a thread of its own, behind a synchronous surface."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TypeVar

Value = TypeVar("Value")


class BackgroundLoop:
    """Runs coroutines beside the caller; ends with the process, or by `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="server", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[object, object, Value]) -> Future[Value]:
        """Start a coroutine; its future can be awaited and cancelled from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[object, object, Value]) -> Value:
        """Run a coroutine to its end."""
        return self.submit(coroutine).result()

    def close(self) -> None:
        """Stop the loop; running coroutines are abandoned."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            asyncio.set_event_loop(runner.get_loop())
            self._loop.run_forever()
