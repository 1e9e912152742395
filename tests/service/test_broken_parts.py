"""A service without one of its parts ends: it would take in jobs that nobody works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shenhe import service
from shenhe.service.server import PARTS, ended_by_broken_parts

SERVICE = """
import sys, threading
from shenhe.errors import RunError
from shenhe.service.server import ended_by_broken_parts, ended_by_signals, wait_for_signal

def fail():
    raise ValueError("odd")

for _ in range(100):
    try:
        with ended_by_broken_parts(), ended_by_signals():
            for name in sys.argv[1:]:
                threading.Thread(target=fail, name=name).start()
            wait_for_signal()
    except RunError as error:
        print(error, flush=True)
"""
"""Ends a hundred times: in a process of its own, as a signal that nobody heeds would end it."""


@pytest.mark.parametrize("broken", [["pipeline"], ["leases", "rows"]])
def test_a_part_that_breaks_ends_the_service(broken: list[str]) -> None:
    command = [sys.executable, "-c", SERVICE, *broken]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    problem = rf"a part of the service failed: ({'|'.join(broken)}): ValueError: odd; .*"
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 100), done.stderr[-2000:]
    assert all(re.fullmatch(problem, line) for line in lines)
    assert f"{broken[0]}: an unexpected error" in done.stderr


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
