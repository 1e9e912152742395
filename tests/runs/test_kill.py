"""kill -9 at random moments: the rows end up the same as those of an unbroken run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

KILLS = 12


def _rows(run: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows by file and group, without what time does to them; a group that stands twice fails."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(run.glob("stage_*/*.jsonl")):
        name = f"{path.parent.name}/{path.name}"
        found[name] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            del row["timestamp"]
            key = f"{row['label']}/{row['group_id']}/{row.get('item', '')}"
            assert key not in found[name], f"{name} has {key} twice"
            found[name][key] = row
    return found


def test_killed_again_and_again_the_rows_are_the_same(tree: Path, tmp_path: Path) -> None:
    for mission in ("BBU安装方式检查（正装）", "BBU接地线检查"):
        shutil.rmtree(tree / mission)  # two missions are as good as four, in half the time
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.runs.forked_runs"),
            *(str(tree), str(unbroken), str(broken), str(KILLS)),
        ],
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    killed = int(done.stdout.split()[-1])
    assert killed >= KILLS // 3, f"only {killed} of {KILLS} were killed before they ended"
    assert _rows(broken) == _rows(unbroken)
    assert sum(len(rows) for name, rows in _rows(unbroken).items() if ".failures" not in name) == 23
