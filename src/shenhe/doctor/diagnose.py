"""The checks, in the order in which a fault would show itself."""

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
OF_A_SERVER: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": machine.check_versions,
    "server": served.check_server,
    "photos": photos.check_photos,
    "run": rows.check_truncation,
}
"""The weights are elsewhere: what can be asked of a server, and what lies here."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding, and the check that made it."""

    check: str
    finding: Finding


def diagnose(subject: Subject) -> Iterator[Diagnosis]:
    """Run every check that the subject has something for; one that fails stops no other."""
    checks = OF_A_SERVER if isinstance(subject.spec.engine, ServerOptions) else CHECKS
    for name, check in checks.items():
        try:
            for finding in check(subject):
                yield Diagnosis(name, finding)
        except ShenheError as error:
            yield Diagnosis(name, Finding("error", str(error)))
