"""Virtual environments for libraries that do not go together with those of this package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# On some machines torch comes as a CPU wheel and torchvision as one for CUDA, which then stops at
# an operator that it lacks: declared beforehand, it is never called here.
SHIM = """
import torch
ops = torch.library.Library("torchvision", "DEF")
ops.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
ops.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def torchvision_is_broken(python: str | Path, folder: Path | None = None) -> bool:
    """Whether a torchvision is there, in the environment or a folder, and does not import.

    Where it does import, as beside a torch of the same build, it brings its own operators, and a
    shim that declares them is an error.
    """
    find_spec = "import importlib.util as i, sys; sys.exit(not i.find_spec('torchvision'))"
    environ = {**os.environ, **({"PYTHONPATH": str(folder)} if folder else {})}
    codes = [
        subprocess.run([python, "-c", code], env=environ, capture_output=True).returncode
        for code in (find_spec, "import torchvision")
    ]
    return codes[0] == 0 and codes[1] != 0


def make_environment(folder: Path, needed: Sequence[str], without: Sequence[str] = ()) -> Path:
    """Make an environment with what is needed, unless it is there, and give its python.

    `needed` are arguments of pip install. Raises: subprocess.CalledProcessError.
    """
    python, made = folder / "bin" / "python", folder / "made"
    requirements = "\n".join([*needed, "-", *without])
    if made.exists() and made.read_text() == requirements:
        return python
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *needed], check=True)
    if without:
        subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", *without], check=True)
    if torchvision_is_broken(python):
        site = subprocess.run(
            [python, "-c", "import site; print(site.getsitepackages()[0])"],
            capture_output=True,
            text=True,
            check=True,
        )
        Path(site.stdout.strip(), "sitecustomize.py").write_text(SHIM)
    made.write_text(requirements)
    return python
