"""The machine: versions, device and dtype, attention, disk."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import psutil
import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from transformers.utils import is_flash_attn_2_available

from shenhe.checkpoints import find_checkpoint
from shenhe.checkpoints.check import Finding
from shenhe.doctor.subject import Subject

SPARE_BYTES = 1_000_000_000
WORKING_SHARE = 1.2
"""Beside its weights a model needs room for what it computes: at least a fifth more."""


@dataclass(frozen=True, slots=True)
class KnownFault:
    """Versions that were seen to be bad on a GPU or everywhere, what they do, and the way out."""

    package: str
    versions: str
    what: str
    remedy: str
    gpu_only: bool = False


FAULTS = (
    # Source: pytorch/pytorch#174051.
    KnownFault(
        "torch",
        ">=2.9,<2.10",
        "falls back to a slow Conv3d on a GPU: shenhe goes round it, trainers and servers in this"
        " environment take 10 to 20 times as long for the vision tower",
        "install torch 2.10 or later",
        gpu_only=True,
    ),
)


def check_versions(subject: Subject) -> Iterator[Finding]:
    """Compare what is installed with what shenhe asks for, and with versions known to be bad."""
    bad = False
    for line in requires("shenhe") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        installed = _version(needed.name)
        if installed is None or not needed.specifier.contains(installed, prereleases=True):
            bad = True
            told = f"{needed.name} {installed or 'is not installed'}, not {needed.specifier}"
            yield Finding("error", told, f"pip install '{needed.name}{needed.specifier}'")
    for fault in FAULTS:
        installed = _version(fault.package)
        if installed and SpecifierSet(fault.versions).contains(installed, prereleases=True):
            if fault.gpu_only and not torch.cuda.is_available():
                continue
            bad = True
            yield Finding("warning", f"{fault.package} {installed} {fault.what}", fault.remedy)
    if told := _broken_torchvision():
        bad = True
        remedy = "install the torchvision of this torch's own build, or uninstall it: it isn't used"
        yield Finding(
            "error", f"torchvision {_version('torchvision')} cannot be used: {told}", remedy
        )
    if not bad:
        names = ("shenhe", "torch", "transformers", "peft")
        yield Finding("ok", ", ".join(f"{name} {_version(name)}" for name in names))


def check_device(subject: Subject) -> Iterator[Finding]:
    """Tell what the model would run on, in which dtype, and whether it fits."""
    dtype, nbytes = _dtype_of(subject), _weight_bytes(subject)
    on_gpu = torch.cuda.is_available() and not subject.local.engine.device.startswith("cpu")
    if on_gpu:
        index = torch.device(
            subject.local.engine.device if ":" in subject.local.engine.device else "cuda:0"
        ).index
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding("ok", f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free; {dtype}")
    else:
        threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
        free = psutil.virtual_memory().available
        yield Finding("ok", f"CPU, {threads} threads, {free / 1e9:.1f} GB of memory free; {dtype}")
        if threads < cores:
            told = f"torch uses {threads} of {cores} cores"
            yield Finding("warning", told, f"set OMP_NUM_THREADS={cores}, or unset it")
        if not subject.local.engine.device.startswith("cpu") and shutil.which("nvidia-smi"):
            told = f"there is a GPU, and torch {torch.__version__} cannot use it"
            yield Finding("error", told, "install a CUDA build of torch that suits the driver")
    if nbytes * WORKING_SHARE > free:
        told = f"{nbytes / 1e9:.1f} GB of weights and {free / 1e9:.1f} GB free"
        yield Finding("error", told, "--quantize int8, a smaller checkpoint or a larger machine")
    if on_gpu and dtype == "float32":
        yield Finding(
            "warning",
            "float32 on a GPU: twice the memory, a fraction of the speed",
            "--dtype bfloat16",
        )
    if not on_gpu and dtype == "float16":
        yield Finding(
            "warning",
            "float16 on a CPU: slow, and it overflows where bfloat16 does not",
            "--dtype bfloat16 or float32",
        )


def check_attention(subject: Subject) -> Iterator[Finding]:
    """Tell which attention the model would use."""
    wanted, flash = subject.local.engine.attn_impl, bool(is_flash_attn_2_available())
    has = "flash-attention is installed" if flash else "flash-attention is not installed"
    if wanted.startswith("flash_attention") and not flash:
        yield Finding(
            "error", f"--attn-impl {wanted}: {has}", "pip install flash-attn, or --attn-impl sdpa"
        )
    elif wanted == "eager":
        told = "--attn-impl eager holds every attention matrix in memory"
        yield Finding("warning", told, "--attn-impl sdpa")
    else:
        yield Finding("ok", f"{wanted}; {has}" + ("" if flash else ", and sdpa needs none"))


def check_disk(subject: Subject) -> Iterator[Finding]:
    """Tell whether rows, and a merge of this checkpoint, would find room here."""
    free, needed = shutil.disk_usage(Path.cwd()).free, _stored_bytes(subject)
    told = f"{free / 1e9:.1f} GB free here; a merge of this checkpoint takes {needed / 1e9:.1f} GB"
    if free < SPARE_BYTES:
        yield Finding("error", told, "make room before a run: a full disk stops it")
    elif free < needed + SPARE_BYTES:
        yield Finding("warning", told, "merge to another disk: --output-dir")
    else:
        yield Finding("ok", told)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _broken_torchvision() -> str:
    """Say why torchvision cannot be imported, where it is installed and cannot.

    In a process of its own: half an import cannot be taken back.
    """
    if importlib.util.find_spec("torchvision") is None:
        return ""
    done = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def _config_of(subject: Subject) -> dict[str, Any]:
    path = find_checkpoint(subject.spec.model).folder / "config.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _dtype_of(subject: Subject) -> str:
    if subject.local.engine.dtype != "auto":
        return subject.local.engine.dtype
    config = _config_of(subject)
    saved = config.get("dtype") or config.get("torch_dtype")
    return str(saved or (config.get("text_config") or {}).get("dtype") or "float32")


def _stored_bytes(subject: Subject) -> int:
    return sum(path.stat().st_size for path in find_checkpoint(subject.spec.model).weights)


def _weight_bytes(subject: Subject) -> float:
    """Estimate what the weights take in memory, in the dtype they would be loaded in."""
    sizes = {"float32": 4, "bfloat16": 2, "float16": 2}
    config = _config_of(subject)
    saved = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
    return _stored_bytes(subject) * sizes.get(_dtype_of(subject), 2) / sizes.get(str(saved), 2)
