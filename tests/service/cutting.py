"""A way to PostgreSQL that is cut off right behind a commit: it is done, and nobody is told."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress


class CutWay:
    """Passes connections on to a port; `cut_next` has the next commit go through unanswered."""

    def __init__(self, port: int) -> None:
        self._target, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_next = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass, args=(near, far), daemon=True).start()

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        """Pass on what comes, until an end closes, or the answer to a commit that is cut off."""
        is_cut = False
        with near, far, suppress(OSError):
            while True:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(65536)
                    if not data or (is_cut and source is far):
                        return
                    if self.cut_next and source is near and data.endswith(b"COMMIT\0"):
                        self.cut_next, is_cut = False, True
                    (far if source is near else near).sendall(data)
