"""The checks, in the order in which a problem would appear in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shenhe.checkpoints.check import Finding
from shenhe.doctor import answers, checkpoint, comparison, machine, photos, rows, served
from shenhe.doctor.subject import Subject
from shenhe.engines.options import ServerOptions
from shenhe.errors import ShenheError

CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": machine.check_versions,
    "device": machine.check_device,
    "attention": machine.check_attention,
    "disk": machine.check_disk,
    "files": checkpoint.check_checkpoint,
    "adapters": checkpoint.check_adapter_fit,
    "prompt": checkpoint.check_prompt,
    "photos": photos.check_photos,
    "run": rows.check_truncation,
    "answers": answers.check_answers,
    "compare": comparison.compare_engines,
}
SERVER_CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": machine.check_versions,
    "server": served.check_server,
    "photos": photos.check_photos,
    "run": rows.check_truncation,
}
"""Checks of a server, whose weights and device are elsewhere."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A finding and the name of its check.

    Example:
        Diagnosis("disk", Finding("ok", "66.6 GB free here"))

    """

    check: str
    finding: Finding


def diagnose(subject: Subject) -> Iterator[Diagnosis]:
    """Run all checks that apply to the subject; an error in one does not stop the others.

    Example:
        errors = [entry for entry in diagnose(subject) if entry.finding.level == "error"]

    """
    checks = SERVER_CHECKS if isinstance(subject.spec.engine, ServerOptions) else CHECKS
    for name, check in checks.items():
        try:
            for finding in check(subject):
                yield Diagnosis(name, finding)
        except ShenheError as error:
            yield Diagnosis(name, Finding("error", str(error)))
