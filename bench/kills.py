"""kill -9 at random moments of the real commands: what is there at the end is as if none had come.

    python -m bench.kills FOLDER [--runs 100] [--captions 30] [--merges 30] [--reviews 30]

Each kind goes on from where FOLDER says it was left: Ctrl-C and start again as you like. A command
is killed at a random moment of its time, started again, and let end every few kills; then rows,
failures, weights or decisions are compared with those of an unbroken one. Prints a table.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from shenhe.review import Index
from shenhe.review.index import Filters
from shenhe.rows.decisions import Decisions

SHENHE = (sys.executable, "-m", "shenhe")
MODEL = ("--model", "demo", "--adapters", "demo", "--dtype", "float32")
PHOTOS = Path(__file__).parent.parent / "src" / "shenhe" / "demo" / "photos"
KILLS_EACH = 5
"""Number of kills of one output before it is let end and compared."""
Contents = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, count in (("runs", 100), ("captions", 30), ("merges", 30), ("reviews", 30)):
        parser.add_argument(f"--{name}", type=int, default=count)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    photos = str(PHOTOS)
    run = Killed(options.folder / "run", ["run", *MODEL, "--data-root", photos], "--output-dir")
    caption = Killed(options.folder / "caption", ["caption", photos, *MODEL], "--output", "c.jsonl")
    merge_command = ["merge", "--model", "demo", "--adapters", "demo", "--overwrite"]
    merge = Killed(options.folder / "merge", merge_command, "--output-dir")
    print(f"{'command':10}{'killed':>8}{'compared':>10}{'differ':>8}")
    run.table("run", options.runs, read_rows_by_item)
    caption.table("caption", options.captions, read_rows_by_item)
    merge.table("merge", options.merges, hash_files)
    kill_reviews(options.folder, options.reviews)


class Killed:
    """One command, killed again and again; its folder holds how far that is."""

    def __init__(self, folder: Path, command: list[str], option: str, name: str = "out") -> None:
        self._folder, self._command, self._option = folder, command, option
        self._name = name
        folder.mkdir(parents=True, exist_ok=True)

    def table(self, name: str, kills: int, read: Callable[[Path], Contents]) -> None:
        """Kill it `kills` times, and print a line."""
        whole, seconds = self._unbroken(read)
        state = self._state()
        rng = random.Random(state["killed"])
        while state["killed"] < kills:
            broken = self._folder / "broken"
            for _ in range(min(KILLS_EACH, kills - state["killed"])):
                state["killed"] += self._kill(broken, rng.uniform(0, seconds))
            self._start(broken).wait()
            state["compared"] += 1
            state["differ"] += read(broken) != whole
            shutil.rmtree(broken)
            (self._folder / "state.json").write_text(json.dumps(state))
        print(f"{name:10}{state['killed']:8}{state['compared']:10}{state['differ']:8}", flush=True)

    def _unbroken(self, read: Callable[[Path], Contents]) -> tuple[Contents, float]:
        folder, began = self._folder / "unbroken", time.monotonic()
        took = self._folder / "seconds"
        if not took.exists():
            shutil.rmtree(folder, ignore_errors=True)
            if self._start(folder).wait() not in (0, 1):
                sys.exit(f"{self._command}: does not run; see {self._folder / 'log'}")
            took.write_text(str(time.monotonic() - began))
        return read(folder), float(took.read_text())

    def _state(self) -> dict[str, int]:
        path = self._folder / "state.json"
        saved = json.loads(path.read_text()) if path.exists() else {}
        return {"killed": 0, "compared": 0, "differ": 0} | saved

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        folder.mkdir(exist_ok=True)
        command = [*SHENHE, *self._command, self._option, str(folder / self._name)]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _kill(self, folder: Path, after: float) -> bool:
        process = self._start(folder)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def read_rows_by_item(folder: Path) -> Contents:
    """All rows and failures by file and item, without what time and place do to them."""
    rows: Contents = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            del row["timestamp"]
            row.pop("session", None)
            group = row.get("group_id", row.get("images"))
            item = f"{path.name} {row.get('label')} {group} {row.get('item')}"
            rows[f"{item} again" if item in rows else item] = row
    return rows


def hash_files(folder: Path) -> Contents:
    """A digest of each file, without the record of the merge, which holds its time."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != "shenhe_merge.json"
    }


# --- review ---


def kill_reviews(folder: Path, kills: int) -> None:
    """Kill the review while two clients decide; what it acknowledged must be there, once."""
    lost = acknowledged = 0
    whole = folder / "run" / "unbroken" / "out"
    for number in range(kills):
        run_dir = folder / "review"
        shutil.rmtree(run_dir, ignore_errors=True)
        shutil.copytree(whole, run_dir)
        kept = _decide_until_killed(run_dir, random.Random(number))
        versions = [
            (decision.key, decision.version) for decision in Decisions(run_dir).trail(count=10_000)
        ]
        lost += len(kept - set(versions)) + len(versions) - len(set(versions))
        acknowledged += len(kept)
    print(f"{'review':10}{kills:8}{acknowledged:10}{lost:8}   (decisions acknowledged, lost)")


def _decide_until_killed(run_dir: Path, rng: random.Random) -> set[tuple[str, int]]:
    entries = Index(run_dir).page(Filters(), count=100)
    command = [*SHENHE, "review", str(run_dir), "--port", "0", "--reviewer", "bench"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    address = urlsplit(process.stdout.readline().decode().split()[-1])
    host = address.netloc
    timestamps = {entry.key: _verdict_timestamp(run_dir, entry.key) for entry in entries}
    kept: set[tuple[str, int]] = set()

    def decide(mine: slice) -> None:
        connection = http.client.HTTPConnection(host, timeout=30)
        for version in range(200):
            for entry in entries[mine]:
                form = {"key": entry.key, "version": str(version), "seen": timestamps[entry.key]}
                body = urlencode(form | {"choice": "不通过", "comment": "bench"})
                headers = {"Origin": f"http://{host}"}
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                try:
                    connection.request("POST", f"/group/{entry.number}", body, headers)
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    return
                if answer.status in (200, 302, 303):
                    kept.add((entry.key, version + 1))

    clients = [threading.Thread(target=decide, args=(slice(n, None, 2),)) for n in (0, 1)]
    for client in clients:
        client.start()
    time.sleep(rng.uniform(0.1, 3.0))
    os.kill(process.pid, signal.SIGKILL)
    for client in clients:
        client.join()
    process.wait()
    process.stdout.close()
    return kept


def _verdict_timestamp(run_dir: Path, key: str) -> str:
    group = Index(run_dir).group_by_key(key)
    assert group is not None
    return group.verdict.timestamp


if __name__ == "__main__":
    main()
