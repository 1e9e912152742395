"""Check of the installed versions: the requirements, and known defects."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.subject import Subject
from shenhe.engines.options import LocalOptions, OpenvinoOptions

LOCAL = "local"
"""The extra of this package with the libraries that run a model in this process."""
EXTRAS = {LocalOptions: LOCAL, OpenvinoOptions: "openvino"}
"""The extras that engines in this process need."""


@dataclass(frozen=True, slots=True)
class KnownDefect:
    """A version range with a known defect, its effect, and the remedy."""

    package: str
    versions: str
    effect: str
    remedy: str
    gpu_only: bool = False


KNOWN_DEFECTS = (
    # Source: pytorch/pytorch#174051.
    KnownDefect(
        "torch",
        ">=2.9,<2.10",
        "falls back to a slow Conv3d on a GPU: shenhe goes round it, trainers and servers in this"
        " environment take 10 to 20 times as long for the vision tower",
        "install torch 2.10 or later",
        gpu_only=True,
    ),
)


def check_versions(subject: Subject) -> Iterator[Finding]:
    """Compare installed versions with the requirements and with known defects."""
    sound = True
    extras = ("", EXTRAS.get(type(subject.spec.engine), ""))
    for line in requires("shenhe") or []:
        required = Requirement(line)
        if not any(_is_for(required, extra) for extra in extras):
            continue
        installed = _version(required.name)
        if installed is None or not required.specifier.contains(installed, prereleases=True):
            sound = False
            problem = f"{required.name} {installed or 'is not installed'}, not {required.specifier}"
            yield Finding("error", problem, f"pip install '{required.name}{required.specifier}'")
    for defect in KNOWN_DEFECTS:
        installed = _version(defect.package)
        if installed and SpecifierSet(defect.versions).contains(installed, prereleases=True):
            if defect.gpu_only and not _has_gpu():
                continue
            sound = False
            yield Finding("warning", f"{defect.package} {installed} {defect.effect}", defect.remedy)
    if import_error := _torchvision_error():
        sound = False
        remedy = "install the torchvision of this torch's own build, or uninstall it: it isn't used"
        problem = f"torchvision {_version('torchvision')} cannot be used: {import_error}"
        yield Finding("error", problem, remedy)
    if sound:
        names = ("shenhe", "torch", "transformers", "peft", "openvino")
        yield Finding(
            "ok", ", ".join(f"{name} {_version(name)}" for name in names if _version(name))
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _torchvision_error() -> str:
    """Return the error of importing torchvision, "" if it is not installed or works.

    Imports in a separate process, because a failed import leaves partial modules behind.
    """
    if importlib.util.find_spec("torchvision") is None:
        return ""
    process = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    return process.stderr.strip().splitlines()[-1] if process.returncode else ""


def _is_for(required: Requirement, extra: str) -> bool:
    """Whether a requirement is one of an extra; of "" those of every installation."""
    return required.marker is None or required.marker.evaluate({"extra": extra})


def _has_gpu() -> bool:
    import torch  # only where a version of it with a defect is installed

    return torch.cuda.is_available()
