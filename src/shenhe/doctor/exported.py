"""Checks of an exported checkpoint that OpenVINO runs in this process, without torch."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import psutil

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.answers import ask, caption_requests, check_replies
from shenhe.doctor.subject import Subject
from shenhe.doctor.timing import seconds_per_token
from shenhe.engines.budget import PhotoBudget
from shenhe.engines.create import create_engine
from shenhe.engines.openvino.exported import MODELS, Exported, read_exported, refuse_adapters

WORKING_SHARE: Final = 1.5
"""Memory of a loaded export relative to its weights: they are laid out anew while it loads."""
CONSTANT: Final = re.compile(rb'\boffset="(\d{1,18})" size="(\d{1,18})"')
"""Where the bytes of a constant are, as the graph of a model says."""


def check_export(subject: Subject) -> Iterator[Finding]:
    """Check that the export is whole, and tell its weights and how photos are resized for it."""
    refuse_adapters(subject.spec.adapters)
    exported = read_exported(subject.spec.model)
    yield from _find_cut(exported)
    size = f"{_weight_bytes(exported) / 1e9:.3f} GB in {len(exported.files.weights) // 2} models"
    if exported.weights is None:
        yield Finding(
            "warning",
            f"{size}; no record of how it was exported: its answers were compared with nothing",
            "python -m recipes.openvino_export CHECKPOINT OUT",
        )
    else:
        yield Finding("ok", f"{size}, weights in {exported.weights}")
    told = PhotoBudget(exported.budget, "preprocessor_config.json")
    budget = told.lowered(subject.spec.max_pixels)
    yield Finding("ok", f"photos are resized to {budget.described}: {budget.source}")


def _find_cut(exported: Exported) -> Iterator[Finding]:
    """Name the models of which a copy brought only the beginning."""
    remedy = "copy it once more, or export again"
    for path in map(exported.model, MODELS):
        graph, weights = path.read_bytes(), path.with_suffix(".bin")
        if not graph.rstrip().endswith(b"</net>"):
            yield Finding("error", f"{path}: is cut short", remedy)
            continue
        needed = max((sum(map(int, found)) for found in CONSTANT.findall(graph)), default=0)
        if (size := weights.stat().st_size) < needed:
            problem = f"{weights}: has {size:,} bytes, its graph tells of {needed:,}"
            yield Finding("error", problem, remedy)


def check_memory(subject: Subject) -> Iterator[Finding]:
    """Check whether the weights fit the free memory."""
    needed = _weight_bytes(read_exported(subject.spec.model))
    free, cores = psutil.virtual_memory().available, len(os.sched_getaffinity(0))
    yield Finding("ok", f"CPU, {cores} cores, {free / 1e9:.1f} GB of memory free")
    if needed * WORKING_SHARE > free:
        yield Finding(
            "error",
            f"{needed / 1e9:.1f} GB of weights and {free / 1e9:.1f} GB free",
            "export with int8 weights, a smaller checkpoint or a larger machine",
        )


def check_answers(subject: Subject) -> Iterator[Finding]:
    """Load the export and check its captions and Stage-A lines."""
    if not subject.load or not subject.photos:
        return
    start = time.monotonic()
    # A grammar would hide errors of the format.
    engine = create_engine(replace(subject.exported, constrain=False))
    yield Finding("ok", f"loads in {time.monotonic() - start:.1f} s")
    yield from check_replies(subject, ask(engine, subject))
    seconds = seconds_per_token(engine, caption_requests(subject)[0])
    if seconds is not None:
        yield Finding("ok", f"{seconds * 1e3:.1f} ms a token, one answer at a time")


def _weight_bytes(exported: Exported) -> int:
    return sum(path.stat().st_size for path in exported.files.weights)
