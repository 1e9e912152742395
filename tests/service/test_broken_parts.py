"""A service without one of its parts ends: it would take in jobs that nobody works."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from shenhe import service
from shenhe.errors import RunError
from shenhe.service.server import (
    PARTS,
    ended_by_broken_parts,
    ended_by_signals,
    wait_for_signal,
)


def fail() -> None:
    raise ValueError("odd")


def wait_beside_a_broken_part() -> None:
    with ended_by_broken_parts(), ended_by_signals():
        threading.Thread(target=fail, name="pipeline").start()
        wait_for_signal()


def test_a_part_that_breaks_ends_the_service(caplog: pytest.LogCaptureFixture) -> None:
    problem = "a part of the service failed: pipeline: ValueError: odd"
    with pytest.raises(RunError, match=problem):
        wait_beside_a_broken_part()
    assert "pipeline: an unexpected error" in caplog.text


def test_an_end_that_was_asked_for_is_none() -> None:
    with pytest.raises(SystemExit), ended_by_broken_parts():
        raise SystemExit(0)


def test_every_thread_of_the_service_is_a_part_of_it() -> None:
    folder = Path(service.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    names = re.findall(r'threading\.Thread\([^)]*name="(\w+)"', sources)
    assert len(names) == len(re.findall(r"threading\.Thread\(", sources))
    # Without another checkpoint on trial the service works as before.
    assert set(names) == {*PARTS, "canary"}
