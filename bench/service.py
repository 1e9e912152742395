"""The acceptance run of the service: nothing that was accepted is lost, or decided twice.

    python -m bench.service --folder SOMEWHERE [--groups 2000] [--clients 50] [--faults 0.3]
                            [--kills 10] [--restarts 2] [--apis 2] [--workers 2]

Starts PostgreSQL, processes of `shenhe serve --role api` and `--role worker` with the bundled
checkpoint, and clients that post groups: some cut their upload, send the same again or twice at
once, send a photo that cannot be read, take seconds for a body, or hand in other photos later.
Meanwhile APIs and workers are killed (-9), and PostgreSQL is killed or stopped, and started again.
At the end every version that was accepted must have one end, and every group one row of its last
version: exit code 1 if not. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.service_clients import MISSION, Scene, plan_faults, post_all
from bench.service_processes import Killer, ServeProcess
from shenhe.errors import RunError
from shenhe.service.job_table import Ended
from shenhe.service.jobs import Job
from shenhe.service.store import JobStore, open_store
from tests.servers.postgres import running_postgres

MODEL = ("--model", "demo", "--adapters", "demo", "--dtype", "float32")
SILENT_SECONDS = 600
"""How long nothing may come to an end until the run is given up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--faults", type=float, default=0.3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--apis", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backlog", type=int, default=200)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        url = postgres.new_database()
        processes = [
            *_processes(
                "api", options.apis, options.folder, url, "--max-backlog", str(options.backlog)
            ),
            *_processes("worker", options.workers, options.folder, url, *MODEL),
        ]
        store = open_store(options.folder / "data", url)
        stack.callback(store.close)
        for process in processes:
            stack.callback(process.abandon)
            process.start()
        scene = Scene([each.address for each in processes if each.role == "api"])
        killer = Killer(processes, postgres)
        faults = plan_faults(options.groups, options.faults)
        began = time.perf_counter()
        asyncio.run(_play(options, scene, killer, processes, store, faults))
        seconds = time.perf_counter() - began
        codes = [process.stop() for process in processes]
        problems = scene.problems + _check(scene, store, options.folder / "data", faults)
        problems += [f"exit code {code} after SIGTERM" for code in codes if code]
        _print(options, scene, killer, processes, store, seconds)
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


def _processes(role: str, count: int, folder: Path, url: str, *more: str) -> list[ServeProcess]:
    return [ServeProcess(role, number, folder, url, more) for number in range(1, count + 1)]


async def _play(
    options: argparse.Namespace,
    scene: Scene,
    killer: Killer,
    processes: Sequence[ServeProcess],
    store: JobStore,
    faults: Sequence[str],
) -> None:
    """Post all groups while processes are killed, until every job has come to its end."""
    versions = len(faults) + faults.count("other photos")
    ended, moved = 0, time.monotonic()
    posting = asyncio.create_task(post_all(scene, faults, options.clients))
    killing = asyncio.create_task(
        killer.run(options.kills, options.restarts, lambda: ended / versions)
    )
    while not (posting.done() and killing.done() and await _count_waiting(store) == 0):
        await asyncio.sleep(0.5)
        for process in processes:
            await asyncio.to_thread(process.tend)
        for task in (posting, killing):
            if task.done():
                task.result()
        now = await _count_ended(store, ended)
        if now > ended:
            ended, moved = now, time.monotonic()
        if time.monotonic() - moved > SILENT_SECONDS:
            raise SystemExit(f"{ended} of {versions} have come to an end, and no more")
        print(
            f"\r{len(scene.accepted)} accepted, {ended} of {versions} ended ",
            end="",
            file=sys.stderr,
        )
    print(file=sys.stderr)


async def _count_ended(store: JobStore, before: int) -> int:
    try:
        counts = await asyncio.to_thread(store.counts)
    except RunError:  # the database is down
        return before
    return counts["done"] + counts["failed"]


async def _count_waiting(store: JobStore) -> int:
    try:
        return await asyncio.to_thread(store.waiting)
    except RunError:
        return 1


def _check(scene: Scene, store: JobStore, data_dir: Path, faults: Sequence[str]) -> list[str]:
    """Compare what clients were told with the jobs, the order of ends, and the rows."""
    jobs = {job.id: job for job in _all_jobs(store)}
    ended = _all_ended(store)
    problems = []
    for version in scene.accepted.values():
        job = jobs.get(next(iter(version.ids)))
        if len(version.ids) != 1:
            problems.append(f"{version.group_id}: {len(version.ids)} jobs of the same photos")
        elif job is None or job.state != "done" or job.result is None:
            problems.append(f"{version.group_id}: accepted, and now {job and job.state}")
        elif version.fault == "unreadable photo" and job.result.verdict.verdict is not None:
            problems.append(f"{version.group_id}: decided without one of its photos")
    versions = len(faults) + faults.count("other photos")
    if not len(jobs) == len(scene.accepted) == versions:
        problems.append(f"{len(jobs)} jobs, {len(scene.accepted)} accepted, of {versions}")
    if [end.number for end in ended] != list(range(1, len(jobs) + 1)):
        problems.append("the numbers of ends are not 1, 2, 3 and so on")
    if Counter(end.job.id for end in ended) != Counter(jobs.keys()):
        problems.append("a job has no end, or two")
    current = {job.new.group_id: job for job in jobs.values() if job.is_current}
    if len(current) != len(faults) or sum(job.is_current for job in jobs.values()) != len(faults):
        problems.append("a group has no current version, or two")
    rows = [json.loads(line) for line in _lines(data_dir / "stage_b" / f"{MISSION}.jsonl")]
    if sorted(row["group_id"] for row in rows) != sorted(current):
        problems.append(f"{len(rows)} rows of {len(current)} groups")
    for row in rows:
        job = current[row["group_id"]]
        if job.result is None or row != json.loads(job.result.verdict.to_json()):
            problems.append(f"{row['group_id']}: its row is not that of its last version")
    return problems


def _all_jobs(store: JobStore) -> list[Job]:
    jobs: list[Job] = []
    while page := store.list(after=jobs[-1].number if jobs else 0):
        jobs += page
    return jobs


def _all_ended(store: JobStore) -> list[Ended]:
    ended: list[Ended] = []
    while page := store.finished_after(ended[-1].number if ended else 0):
        ended += page
    return ended


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _print(
    options: argparse.Namespace,
    scene: Scene,
    killer: Killer,
    processes: Sequence[ServeProcess],
    store: JobStore,
    seconds: float,
) -> None:
    jobs = _all_jobs(store)
    photos = sum(len(job.new.photos) for job in jobs)
    attempts = Counter(job.attempts for job in jobs)
    faults = Counter(version.fault for version in scene.accepted.values() if version.fault)
    folders = {photo.location.parent for job in jobs for photo in job.new.photos}
    left = sum(path not in folders for path in (options.folder / "data" / "photos").glob("2*/*"))
    kills = {role: sum(p.kills for p in processes if p.role == role) for role in ("api", "worker")}
    peak = {role: max(p.peak_mb for p in processes if p.role == role) for role in kills}
    quick = statistics.quantiles(scene.seconds, n=20)
    undecided = sum(job.result is not None and job.result.verdict.verdict is None for job in jobs)
    rows = [
        ("groups, versions accepted", f"{options.groups}, {len(scene.accepted)}"),
        ("with a fault", ", ".join(f"{name} {count}" for name, count in sorted(faults.items()))),
        ("kills (-9) of APIs, of workers", f"{kills['api']}, {kills['worker']}"),
        ("restarts of PostgreSQL", f"{killer.restarts}"),
        ("started while PostgreSQL was down", f"{sum(process.ends for process in processes)}"),
        ("connections that broke, or were refused", f"{scene.broken}"),
        ("answers", ", ".join(f"{status}: {n}" for status, n in sorted(scene.statuses.items()))),
        (
            "jobs in the database, ended, undecided",
            f"{len(jobs)}, {len(_all_ended(store))}, {undecided}",
        ),
        ("taken up more than once", f"{sum(n for times, n in attempts.items() if times > 1)}"),
        ("folders of photos that no job has", f"{left}"),
        (
            "seconds; groups/s; photos/s",
            f"{seconds:.0f}; {len(jobs) / seconds:.1f}; {photos / seconds:.1f}",
        ),
        (
            "accepted within, half and 95%",
            f"{statistics.median(scene.seconds):.2f} s, {quick[-1]:.2f} s",
        ),
        (
            "largest API, worker (without its model)",
            f"{peak['api']:.0f} MB, {peak['worker']:.0f} MB",
        ),
        ("clients, load of the machine", f"{options.clients}, {os.getloadavg()[1]:.1f}"),
    ]
    print("| | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
