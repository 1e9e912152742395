"""kill -9 at random moments of a merge: never a folder that loads and is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KILLS = 20


def test_killed_twenty_times(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.checkpoints.forked_merges"]
    done = subprocess.run(
        [*command, str(tmp_path / "out" / "merged"), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    killed = int(done.stdout.split()[-1])
    assert killed >= KILLS // 3, f"only {killed} of {KILLS} were killed before they ended"
