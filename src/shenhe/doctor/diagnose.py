"""The checks, in the order in which a problem would appear in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from shenhe.checkpoints.findings import Finding
from shenhe.doctor import disk, exported, photos, rows, served, versions
from shenhe.doctor.subject import Subject
from shenhe.engines.options import OpenvinoOptions, ServerOptions
from shenhe.errors import ShenheError, needs

SERVER_CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": versions.check_versions,
    "server": served.check_server,
    "photos": photos.check_photos,
    "run": rows.check_truncation,
}
"""Checks of a server, whose weights and device are elsewhere."""
OPENVINO_CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "versions": versions.check_versions,
    "files": exported.check_export,
    "device": exported.check_memory,
    "disk": disk.check_room,
    "photos": photos.check_photos,
    "run": rows.check_truncation,
    "answers": exported.check_answers,
}
"""Checks of an exported checkpoint, which need no torch."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A finding and the name of its check.

    Example:
        Diagnosis("disk", Finding("ok", "66.6 GB free here"))

    """

    check: str
    finding: Finding


def checks_of(subject: Subject) -> Mapping[str, Callable[[Subject], Iterator[Finding]]]:
    """Name the checks that apply to the subject.

    Raises: UsageError where what runs a checkpoint is not installed.
    """
    if isinstance(subject.spec.engine, ServerOptions):
        return SERVER_CHECKS
    if isinstance(subject.spec.engine, OpenvinoOptions):
        return OPENVINO_CHECKS
    with needs(versions.LOCAL):
        from shenhe.doctor.local_checks import LOCAL_CHECKS

    return LOCAL_CHECKS


def diagnose(subject: Subject) -> Iterator[Diagnosis]:
    """Run all checks that apply to the subject; an error in one does not stop the others.

    Raises: UsageError where what runs a checkpoint is not installed.

    Example:
        errors = [entry for entry in diagnose(subject) if entry.finding.level == "error"]

    """
    for name, check in checks_of(subject).items():
        try:
            for finding in check(subject):
                yield Diagnosis(name, finding)
        except ShenheError as error:
            yield Diagnosis(name, Finding("error", str(error)))
