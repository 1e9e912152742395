"""Checks of the machine that runs a checkpoint: device and dtype, attention, disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
from transformers.utils import is_flash_attn_2_available

from shenhe.checkpoints import find_checkpoint
from shenhe.checkpoints.findings import Finding
from shenhe.doctor.disk import FULL, SPARE_BYTES
from shenhe.doctor.subject import Subject
from shenhe.engines.options import attention_name
from shenhe.errors import spelled

WORKING_SHARE = 1.2
"""Memory of a loaded model relative to its weights: activations take at least a fifth more."""


def check_device(subject: Subject) -> Iterator[Finding]:
    """Check the device and dtype of the model, and whether its weights fit the memory."""
    dtype, nbytes = _dtype_of(subject), _weight_bytes(subject)
    device = subject.local.engine.device
    on_gpu = torch.cuda.is_available() and not device.startswith("cpu")
    if on_gpu:
        index = torch.device(device if ":" in device else "cuda:0").index
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding("ok", f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free; {dtype}")
    else:
        threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
        free = psutil.virtual_memory().available
        yield Finding("ok", f"CPU, {threads} threads, {free / 1e9:.1f} GB of memory free; {dtype}")
        if threads < cores:
            problem = f"torch uses {threads} of {cores} cores"
            yield Finding("warning", problem, f"set OMP_NUM_THREADS={cores}, or unset it")
        if not device.startswith("cpu") and shutil.which("nvidia-smi"):
            problem = f"there is a GPU, and torch {torch.__version__} cannot use it"
            yield Finding("error", problem, "install a CUDA build of torch that suits the driver")
    if nbytes * WORKING_SHARE > free:
        problem = f"{nbytes / 1e9:.1f} GB of weights and {free / 1e9:.1f} GB free"
        yield Finding(
            "error",
            problem,
            f"{spelled('quantize', 'int8')}, a smaller checkpoint or a larger machine",
        )
    if on_gpu and dtype == "float32":
        yield Finding(
            "warning",
            "float32 on a GPU: twice the memory, a fraction of the speed",
            spelled("dtype", "bfloat16"),
        )
    if not on_gpu and dtype == "float16":
        yield Finding(
            "warning",
            "float16 on a CPU: slow, and it overflows where bfloat16 does not",
            f"{spelled('dtype', 'bfloat16')} or float32",
        )


def check_attention(subject: Subject) -> Iterator[Finding]:
    """Check that the attention implementation is installed."""
    flash = bool(is_flash_attn_2_available())
    implementation = attention_name(subject.local.engine.attn_impl)
    availability = "flash-attention is installed" if flash else "flash-attention is not installed"
    if implementation.startswith("flash_attention") and not flash:
        problem = f"{spelled('attn_impl', implementation)}: {availability}"
        remedy = f"pip install flash-attn, or {spelled('attn_impl', 'sdpa')}"
        yield Finding("error", problem, remedy)
    elif implementation == "eager":
        problem = f"{spelled('attn_impl', 'eager')} holds every attention matrix in memory"
        yield Finding("warning", problem, spelled("attn_impl", "sdpa"))
    else:
        suffix = "" if flash else ", and sdpa needs none"
        yield Finding("ok", f"{implementation}; {availability}{suffix}")


def check_disk(subject: Subject) -> Iterator[Finding]:
    """Check that the disk has space for rows and for a merge of this checkpoint."""
    free, merged = shutil.disk_usage(Path.cwd()).free, _stored_bytes(subject)
    space = f"{free / 1e9:.1f} GB free here; a merge of this checkpoint takes {merged / 1e9:.1f} GB"
    if free < SPARE_BYTES:
        yield Finding("error", space, FULL)
    elif free < merged + SPARE_BYTES:
        yield Finding("warning", space, f"merge to another disk: {spelled('output_dir')}")
    else:
        yield Finding("ok", space)


def _config_of(subject: Subject) -> dict[str, object]:
    path = find_checkpoint(subject.spec.model).folder / "config.json"
    config: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return config


def _saved_dtype(config: dict[str, object]) -> object:
    return config.get("dtype") or config.get("torch_dtype")


def _dtype_of(subject: Subject) -> str:
    if subject.local.engine.dtype != "auto":
        return subject.local.engine.dtype
    config = _config_of(subject)
    text_config = config.get("text_config")
    text_dtype = text_config.get("dtype") if isinstance(text_config, dict) else None
    return str(_saved_dtype(config) or text_dtype or "float32")


def _stored_bytes(subject: Subject) -> int:
    return sum(path.stat().st_size for path in find_checkpoint(subject.spec.model).weights)


def _weight_bytes(subject: Subject) -> float:
    """Estimate the memory of the weights in the dtype they would be loaded in."""
    sizes = {"float32": 4, "bfloat16": 2, "float16": 2}
    saved = str(_saved_dtype(_config_of(subject)) or "bfloat16")
    return _stored_bytes(subject) * sizes.get(_dtype_of(subject), 2) / sizes.get(saved, 2)
