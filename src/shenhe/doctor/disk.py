"""Check of the disk that a run writes to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shenhe.checkpoints.findings import Finding
from shenhe.doctor.subject import Subject

SPARE_BYTES: Final = 1_000_000_000
"""Disk space for the rows of a run."""
FULL: Final = "make room before a run: a full disk stops it"


def check_room(subject: Subject) -> Iterator[Finding]:
    """Check that the disk has space for rows."""
    free = shutil.disk_usage(Path.cwd()).free
    space = f"{free / 1e9:.1f} GB free here"
    yield Finding("error", space, FULL) if free < SPARE_BYTES else Finding("ok", space)
