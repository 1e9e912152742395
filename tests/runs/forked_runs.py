"""A process that loads the model once and forks runs of it, to be killed: see test_kill.py.

    python -m tests.runs.forked_runs TREE UNBROKEN BROKEN KILLS

Writes one run unbroken; then starts another again and again, and kills each start with SIGKILL
after a random while; then lets it end. Needs OMP_NUM_THREADS=1: threads do not survive a fork.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import time
from pathlib import Path

from shenhe.cli import run
from shenhe.cli.command_line import parse
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions


def main(tree: str, unbroken: str, broken: str, kills: int) -> None:
    spec = EngineSpec(
        model="demo", adapters=("demo",), batch_size=3, engine=LocalOptions(dtype="float32")
    )
    engine = LocalEngine(spec)
    run.make_engine = lambda load: engine  # type: ignore[attr-defined]

    gc.collect()
    gc.freeze()  # a collection in a run would copy the memory of all that is loaded

    began = time.monotonic()
    assert os.waitpid(_start(tree, unbroken), 0)[1] >> 8 in (0, 1)
    whole = time.monotonic() - began
    rng = random.Random(0)
    killed = 0
    for _ in range(kills):
        child = _start(tree, broken)
        time.sleep(rng.uniform(0.0, 2.5 * whole / kills))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert os.waitpid(_start(tree, broken), 0)[1] >> 8 in (0, 1)
    print(f"killed {killed}")


def _start(tree: str, output: str) -> int:
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(Path(output).with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    arguments = ["run", "--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    arguments += ["--data-root", tree, "--output-dir", output]
    code = 99
    try:
        line = parse(arguments)
        code = line.run(line.options)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
