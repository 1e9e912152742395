"""Runs `shenhe` in a fork of a process that has the libraries imported: see tests/warm.py.

    python -I tests/warm_client.py SOCKET ARGUMENT...

Its input, output, folder, environment, signals and exit code are those of the run.
"""

import json
import os
import signal
import socket
import sys

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(path: str, arguments: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        # What the caller has told this process to ignore, the run ignores too.
        heeded = [n for n in FORWARDED if signal.getsignal(n) is not signal.SIG_IGN]
        run = {
            "arguments": arguments,
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "heeded": heeded,
        }
        content = json.dumps(run).encode()
        socket.send_fds(server, [len(content).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(content)
        child = int.from_bytes(_receive(server, 8), "big")
        for number in heeded:
            signal.signal(number, lambda number, _: os.kill(child, number))
        status = int.from_bytes(_receive(server, 8), "big")
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


def _receive(server: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        chunk = server.recv(count - len(content))
        if not chunk:
            sys.exit("the server of warm runs is gone")
        content += chunk
    return content


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
