"""vLLM's own OpenAI-compatible server, on the CPU."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.starting import free_port


@contextmanager
def vllm_serve(python: Path, model: Path, *arguments: str) -> Iterator[str]:
    """Serve a checkpoint in float32, and yield the address."""
    port = free_port()
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), *arguments]
    command += ["--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"]
    log = (model.parent / "vllm.log").open("w")
    environ = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    server = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/models", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, Path(log.name).read_text()[-3000:]
                time.sleep(1)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        log.close()
