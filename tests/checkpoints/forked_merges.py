"""A process that forks merges of the bundled adapter, to be killed: see test_merge_kill.py.

    python -m tests.checkpoints.forked_merges OUTPUT KILLS

Prints how many were killed, and how many of those left a checkpoint that was there before.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from shenhe.checkpoints.inspect import find_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.errors import CheckpointError


def main(output: Path, kills: int) -> None:
    whole = min(_time(output) for _ in range(3))
    expected = _contents(output)
    rng = random.Random(0)
    killed = 0
    for _ in range(kills):
        child = _start(output)
        time.sleep(rng.uniform(0, 1.1 * whole))
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            killed += 1
        else:
            whole *= 0.7  # the first one was slow: the machine was busy, or its cache was cold
        _check(output, expected)
    os.waitpid(_start(output), 0)
    assert _contents(output) == expected
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    print(f"killed {killed}")


def _time(output: Path) -> float:
    """How long a merge takes. Units: seconds."""
    began = time.monotonic()
    os.waitpid(_start(output), 0)
    return time.monotonic() - began


def _start(output: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        merge_adapters("demo", ["demo"], output, max_shard_bytes=1_000_000, overwrite=True)
    finally:
        os._exit(0)


def _check(output: Path, expected: dict[str, bytes]) -> None:
    """What can be found as a checkpoint is whole: the old one, or the new one."""
    for folder in output.parent.iterdir():
        if not folder.is_dir():
            continue
        try:
            find_checkpoint(str(folder))
        except CheckpointError:
            continue
        assert _contents(folder) == expected, folder


def _contents(folder: Path) -> dict[str, bytes]:
    """Everything but the record of when it was made."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != "shenhe_merge.json"
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
