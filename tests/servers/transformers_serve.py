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

from tests.peers.environments import ROOT, SHIM
from tests.servers.starting import free_port

VISION_OF_TORCH = {"2.13": "0.28.0", "2.14": "0.29.1"}
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
    """Serve a checkpoint, in float32 on the CPU; gives the address."""
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
    """Install torchvision into a folder of its own, once."""
    wanted = VISION_OF_TORCH[version("torch").rpartition(".")[0]]
    folder = ROOT / ".peers" / f"torchvision-{wanted}"
    if not (folder / "sitecustomize.py").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
        subprocess.run([*pip, f"torchvision=={wanted}"], check=True)
        (folder / "sitecustomize.py").write_text(SHIM + DECODER)
    return folder
