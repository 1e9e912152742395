"""The checks, in the order in which a fault would show itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shenhe.checkpoints.check import Finding
from shenhe.doctor import answers, checkpoint, comparison, machine, photos, rows, served
from shenhe.doctor.subject import Subject
from shenhe.errors import ShenheError

CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": machine.versions,
    "device": machine.device,
    "attention": machine.attention,
    "disk": machine.disk,
    "files": checkpoint.files,
    "adapters": checkpoint.adapters,
    "prompt": checkpoint.prompt,
    "photos": photos.photos,
    "run": rows.truncation,
    "answers": answers.answers,
    "compare": comparison.comparison,
}
OF_A_SERVER: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": machine.versions,
    "server": served.served,
    "photos": photos.photos,
    "run": rows.truncation,
}
"""The weights are elsewhere: what can be asked of a server, and what lies here."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding, and the check that made it."""

    check: str
    finding: Finding


def diagnose(subject: Subject) -> Iterator[Diagnosis]:
    """Run every check that the subject has something for; one that fails stops no other."""
    checks = OF_A_SERVER if subject.spec.engine == "server" else CHECKS
    for name, check in checks.items():
        try:
            for finding in check(subject):
                yield Diagnosis(name, finding)
        except ShenheError as error:
            yield Diagnosis(name, Finding("error", str(error)))
