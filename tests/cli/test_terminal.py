"""On a terminal: a bar with photos/s and time left. Elsewhere: plain lines."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.cli.test_commands import MODEL
from tests.conftest import DEMO, MISSION
from tests.warm import SHENHE


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [*SHENHE, "summarize", *MODEL, "--data-root", str(DEMO / "photos")]
    command += ["--mission", MISSION, "--output-dir", str(tmp_path)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "140"}
    run = subprocess.Popen(command, stderr=slave, stdout=slave, env=environment)
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 65_536):
            seen += chunk
    except OSError:  # Linux says that the other end is gone as an I/O error
        pass
    assert run.wait() == 0
    text = seen.decode(errors="replace")
    assert f"Stage-A {MISSION}" in text
    assert "6/6" in text
    assert "photos/s" in text
