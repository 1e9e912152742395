"""Workers that are killed (-9) with a job in hand, each a process of its own.

    python -m tests.service.worker_process DIR URL|- N

N workers, one after the other, take the next job, tell its number, and are killed over it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from shenhe.service.store import open_store


def main() -> None:
    folder, url, deaths = sys.argv[1:]
    for _ in range(int(deaths)):
        # A fork of a process that has no connection yet takes no time to start.
        child = os.fork()
        if child == 0:
            _die_over_a_job(Path(folder), "" if url == "-" else url)
        os.waitpid(child, 0)


def _die_over_a_job(folder: Path, url: str) -> None:
    store = open_store(folder, url)
    while not (claims := store.claim("killed", 1)):
        time.sleep(0.01)
    print(claims[0].job.number, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
