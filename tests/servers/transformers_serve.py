"""`transformers serve` beside this package's own environment, which needs no torchvision."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from recipes.environments import SHIM, torchvision_is_broken
from tests.servers.starting import free_port

BEHIND_TORCH = 15
"""torchvision 0.28 goes with torch 2.13, and so on."""
DECODER = """
# The image decoder of that wheel wants CUDA; Pillow reads the same pixels.
import io, numpy, torchvision.io, torchvision.io.image
from PIL import Image
def decode_image(data, mode=None, **_):
    image = Image.open(io.BytesIO(bytes(data.numpy()))).convert("RGB")
    return torch.from_numpy(numpy.array(image)).permute(2, 0, 1)
torchvision.io.decode_image = torchvision.io.image.decode_image = decode_image
"""


@contextmanager
def transformers_serve(checkpoint: Path) -> Iterator[str]:
    """Serve a checkpoint in float32 on the CPU, and yield the address."""
    port = free_port()
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()"]
    command += ["serve", str(checkpoint), "--device", "cpu", "--dtype", "float32"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environ = {"PYTHONPATH": str(_torchvision()), "PATH": "/usr/bin:/bin"}
    log = checkpoint.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environ)
        try:
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()[-2000:]
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)


def _torchvision() -> Path:
    """Install the torchvision of this torch into a folder of its own, once."""
    release = f"0.{int(version('torch').split('.')[1]) + BEHIND_TORCH}"
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    folder = Path(__file__).parent.parent.parent / ".peers" / f"torchvision-{release}-{python}"
    if not (folder / "sitecustomize.py").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
        subprocess.run([*pip, f"torchvision=={release}.*"], check=True)
        shim = SHIM + DECODER if torchvision_is_broken(sys.executable, folder) else ""
        (folder / "sitecustomize.py").write_text(shim)
    return folder
