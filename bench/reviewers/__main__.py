"""Three reviewers in three browsers, two servers on one PostgreSQL, one of them killed twice.

    python -m bench.reviewers --folder SOMEWHERE [--groups 300] [--seconds 50] [--database URL]

Writes a run, copies it as a second machine would have it, and starts a server on each. Three
inspectors decide in three Chromiums, by keys, until no group is left; then they give second
opinions on the groups that were drawn, on a quarter of them otherwise than whoever decided; a lead
decides between the two. In the middle of the decisions, and again of the second opinions, the first
server is killed (-9) and started again. Then the database is compared with what the browsers were
told: exit code 1 if anything is lost, or was done twice. Without --database, Debian's PostgreSQL is
started for it. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.reviewers.findings import Stored, compare, read_stored
from bench.reviewers.people import Act
from bench.reviewers.scene import INSPECTORS, LEAD, Scene
from bench.reviewers.servers import Server, add_accounts, write_machines
from tests.servers.postgres import running_postgres

KILLS: tuple[Act, ...] = ("decision", "second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=50, help="how many are drawn, on average")
    parser.add_argument("--kills", nargs="*", choices=KILLS, default=KILLS)
    parser.add_argument("--database", default="")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    options = parser.parse_args()
    share = min(1.0, options.seconds / options.groups)
    with ExitStack() as stack:
        url = options.database or stack.enter_context(running_postgres()).new_database()
        machines = write_machines(options.folder, options.groups)
        add_accounts(machines[0], url, INSPECTORS, LEAD)
        servers = [stack.enter_context(Server(run_dir, url, share)) for run_dir in machines]
        for server in servers:
            server.wait()

        def read() -> Stored:
            return read_stored(machines[1], url)

        kills = tuple(options.kills)
        scene = Scene(servers, options.groups, kills, lambda: len(read().drawn))
        began = time.perf_counter()
        asyncio.run(scene.play(options.chromium))
        seconds = time.perf_counter() - began
        stored = read()
    sys.exit(_report(scene, stored, seconds))


def _report(scene: Scene, stored: Stored, seconds: float) -> int:
    """Print what was found, and give the exit code."""
    comparison = compare(stored, scene.heard, scene.groups)
    rows: dict[str, object] = {"groups": scene.groups}
    rows |= comparison.figures | comparison.faults
    rows |= {
        "told by a page: not saved": scene.heard.not_saved,
        "told by a page: judged already": scene.heard.conflicts,
        "seconds that the killed server was away": _join([round(each, 1) for each in scene.away]),
    }
    for act, name in zip(KILLS, ("a decision", "a second opinion"), strict=True):
        times = sorted(scene.heard.seconds[act])
        figures = statistics.median(times), times[int(0.95 * len(times))]
        rows[f"{name} on disk and the next group, median and 95 of 100, ms"] = _join(
            [round(1000 * each) for each in figures]
        )
    for name, judged in (("decided", stored.decisions), ("second opinions", stored.seconds)):
        people = Counter(row.reviewer for row in judged)
        rows[f"{name} by {', '.join(INSPECTORS)}"] = _join([people[name] for name in INSPECTORS])
    rows["seconds, all"] = round(seconds)
    print("| | |\n|---|---|", flush=True)
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    return int(any(comparison.faults.values()) or len(scene.away) != len(scene.kills))


def _join(values: Sequence[float]) -> str:
    return ", ".join(map(str, values))


if __name__ == "__main__":
    main()
