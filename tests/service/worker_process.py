"""Workers that are killed (-9) with jobs in hand, each a process of its own.

    python -m tests.service.worker_process DIR URL|- LIMIT N

N workers, one after the other, take so many jobs, tell their numbers, and are killed over them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from shenhe.service.store import open_store


def main() -> None:
    folder, url, limit, deaths = sys.argv[1:]
    for _ in range(int(deaths)):
        # A fork of a process that has no connection yet takes no time to start.
        child = os.fork()
        if child == 0:
            _die_over_jobs(Path(folder), "" if url == "-" else url, int(limit))
        os.waitpid(child, 0)


def _die_over_jobs(folder: Path, url: str, limit: int) -> None:
    store = open_store(folder, url)
    while not (claims := store.claim("killed", limit)):
        time.sleep(0.01)
    print(*(claimed.job.number for claimed in claims), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
