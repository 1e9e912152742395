"""The socket that a server listens on, bound before anything slow is begun."""

from __future__ import annotations

import socket
from typing import Final

from shenhe.errors import UsageError, spelled

GONE_SECONDS: Final = 30
"""A peer that confirms nothing of what it is sent for so long is gone: its network was lost."""


def listen_on(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 is any that is free.

    Raises: UsageError for an address that cannot be listened on.

    Example:
        listening = listen_on("127.0.0.1", 8770)

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by its name: asyncio sends without waiting (TCP_NODELAY) where it reads it there.
    # A body that follows its header would wait for the peer to confirm that, 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections have it of who listens
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        problem = error.strerror if isinstance(error, OSError) else str(error)
        address = f"{spelled('host', host)} {spelled('port', port)}"
        raise UsageError(f"{address}: {problem}; name another") from error
    return listening
