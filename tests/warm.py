"""`shenhe` in processes that need not import torch and transformers anew: six seconds each.

`SHENHE` is a command for subprocess, as (sys.executable, "-m", "shenhe") is. Each use is a process
of its own, forked from one that holds the libraries and nothing of shenhe.

    subprocess.run([*SHENHE, "judge", "--help"])

Tests of imports, of encodings and of kills run the plain command, `COLD`.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

LIBRARIES = (
    "torch",
    "transformers.models.qwen3_vl.modeling_qwen3_vl",
    "transformers.models.qwen3_vl.processing_qwen3_vl",
    "transformers.models.auto.processing_auto",
    "transformers.models.qwen2.tokenization_qwen2",
    "peft",
    "llguidance.hf",
    "pydantic",
    "pillow_heif",
    "PIL.Image",
    "simplejpeg",
    "shapely",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "jinja2",
    "rich.progress",
    "sqlalchemy.dialects.sqlite",
    "argon2",
    "openpyxl",
    "docx",
    "fpdf",
)


class WarmCommand:
    """The words of a command; the first use starts the process that holds the libraries."""

    def __init__(self) -> None:
        self._path = ""

    def __iter__(self) -> Iterator[str]:
        if not self._path:
            self._path = _start()
        yield from (sys.executable, "-I", str(Path(__file__).with_name("warm_client.py")))
        yield self._path


SHENHE = WarmCommand()
COLD = (sys.executable, "-m", "shenhe")
"""The plain command, a single process from its start on."""


def _start() -> str:
    folder = tempfile.TemporaryDirectory(prefix="warm")
    path = f"{folder.name}/socket"
    # It ends when its standard input does: with the tests, however they end.
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,  # a test may have left it
        env=os.environ | {"OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"},
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(end)
    return path


def _serve(path: str) -> None:
    """Fork a run for each client; return in the run, ready for its command."""
    for library in LIBRARIES:
        import_module(library)
    # A collection in a run would go through all of these, and copy their memory.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        # Whoever waits for the end of this output waits for no run that is still there.
        os.dup2(2, 1)
        while True:
            watched: list[socket.socket | int] = [listener, 0]
            ready, _, _ = select.select(watched, [], [])
            if 0 in ready:
                os._exit(0)
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _supervise(client)
                return
            client.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _supervise(client: socket.socket) -> None:
    """Run what a client asks for, and kill it when the client is gone; return in the run."""
    header, descriptors, _, _ = socket.recv_fds(client, 8, 3)
    content = b""
    while len(content) < int.from_bytes(header, "big"):
        if not (chunk := client.recv(1 << 16)):
            os._exit(0)  # the client was killed before it had said what to run
        content += chunk
    run = json.loads(content)
    child = os.fork()
    if child == 0:
        client.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _become(run["arguments"], run["folder"], run["environment"], run["heeded"])
        return
    client.sendall(child.to_bytes(8, "big"))
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(child)
    watched: list[socket.socket | int] = [ended, client]
    ready, _, _ = select.select(watched, [], [])
    if ended not in ready:
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        client.sendall(status.to_bytes(8, "big"))
    os._exit(0)


def _become(
    arguments: list[str], folder: str, environment: dict[str, str], heeded: list[int]
) -> None:
    """Take the words, the folder, the environment, the signals and the streams of a client."""
    sys.argv = ["shenhe", *arguments]
    os.environ.clear()
    os.environ |= environment
    os.chdir(folder)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual if number in heeded else signal.SIG_IGN)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, "wb", closefd=False)),
            line_buffering=is_line_buffered,
        )
        for number, is_line_buffered in ((1, os.isatty(1)), (2, True))
    )


def _end(code: object) -> None:
    """Do what Python does at its end, but for taking all libraries apart: half a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(120)  # as Python says that nobody reads any more
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(sys.argv[1])
    from shenhe.cli.main import main

    try:
        main()
    except SystemExit as left:
        _end(left.code)
