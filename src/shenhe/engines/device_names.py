"""The devices of one machine by their names, as users write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from shenhe.errors import OptionError

ALL: Final = "all"
"""Every GPU that this process may use."""
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
THREADS: Final = "OMP_NUM_THREADS"


def read_device_names(devices: Iterable[str]) -> tuple[str, ...]:
    """Read lists of devices; `all` stands alone.

    Raises: OptionError for a list that is none, and for a GPU that is named twice.

    >>> read_device_names(["0,1", "cuda:3"])
    ('cuda:0', 'cuda:1', 'cuda:3')
    """
    written = ",".join(devices)
    names = [_read(name.strip()) for name in unicodedata.normalize("NFKC", written).split(",")]
    how = "write the numbers of GPUs, as 0,1; or all; or cpu,cpu"
    if "" in names or (ALL in names and len(names) > 1):
        raise OptionError("devices", written, how)
    for name in names:
        if name != "cpu" and names.count(name) > 1:
            problem = (
                f"{name} is there twice; one worker fills a GPU, and a second one would load the"
                " model again"
            )
            raise OptionError("devices", written, problem)
    return tuple(names)


def worker_environment(
    name: str, workers: int, cores: int, environ: Mapping[str, str]
) -> dict[str, str]:
    """Make the environment of the process of one worker of several.

    A GPU worker sees its own GPU alone, by the number 0; the cores are divided.
    Raises: OptionError for a GPU that this process may not use.
    """
    own = dict(environ)
    own.setdefault(THREADS, str(max(1, cores // workers)))
    if name.startswith("cuda:"):
        own[VISIBLE] = _visible_gpu(int(name.removeprefix("cuda:")), environ.get(VISIBLE))
    return own


def device_in_worker(name: str) -> str:
    """Name the device of a worker as the worker itself sees it."""
    return "cuda:0" if name.startswith("cuda:") else name


def _read(name: str) -> str:
    """Return torch's name of a device; empty if it can be none."""
    if re.fullmatch("[0-9]{1,4}", name):
        return f"cuda:{int(name)}"
    numbered = re.fullmatch("([a-z]+):([0-9]{1,4})", name)
    if numbered:
        return f"{numbered[1]}:{int(numbered[2])}"
    return name if name in (ALL, "cpu", "mps") else ""


def _visible_gpu(number: int, visible: str | None) -> str:
    if visible is None:
        return str(number)
    gpus = [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    if number >= len(gpus):
        problem = f"{VISIBLE}={visible} leaves {len(gpus)} GPUs, counted from 0"
        raise OptionError("devices", number, problem)
    return gpus[number]
