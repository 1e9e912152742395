"""llama.cpp's own server, of the `xllamacpp` wheel.

    python -m tests.servers.llama_cpp FOLDER [--context 4096] [--slots 1] [--no-tower] [--port 8080]

FOLDER is what `python -m recipes.llama_cpp` wrote. Prints its port.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.starting import Served, free_port

MODEL = "checkpoint"
"""The name that it serves the model by."""


@contextmanager
def llama_cpp(folder: Path, *arguments: str) -> Iterator[Served]:
    """Start the server in a process of its own, on one thread and a free port."""
    command = [sys.executable, "-m", "tests.servers.llama_cpp", str(folder), *arguments]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("port "):
                    break
            else:
                log.seek(0)
                raise AssertionError(log.read()[-3000:])
            port = int(line.removeprefix("port "))
            yield Served(f"http://127.0.0.1:{port}/v1", port, process)
        finally:
            process.kill()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()


def main() -> None:
    """Serve until the process is killed."""
    import xllamacpp

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-tower", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = str(options.folder / "model.gguf")
    if not options.no_tower:
        params.mmproj.path = str(options.folder / "mmproj.gguf")
    params.model_alias = {MODEL}
    params.n_ctx, params.n_parallel = options.context, options.slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.hostnames, params.port = ["127.0.0.1"], options.port or free_port()
    server = xllamacpp.Server(params)  # noqa: F841 - it serves while it is there
    print(f"port {params.port}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
