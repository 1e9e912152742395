"""The checks of a checkpoint on this machine, which take the libraries that run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shenhe.checkpoints.findings import Finding
from shenhe.doctor import checkpoint, comparison, loading, machine, photos, rows, versions
from shenhe.doctor.subject import Subject

LOCAL_CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": versions.check_versions,
    "device": machine.check_device,
    "attention": machine.check_attention,
    "disk": machine.check_disk,
    "files": checkpoint.check_checkpoint,
    "adapters": checkpoint.check_adapter_fit,
    "prompt": checkpoint.check_prompt,
    "photos": photos.check_photos,
    "run": rows.check_truncation,
    "answers": loading.check_answers,
    "compare": comparison.compare_engines,
}
