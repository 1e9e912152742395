"""Throughput of a service beside that of a run, and the first verdict of an idle one.

    python -m bench.serving [--groups 60] [--photos 3] [--clients 8] [--rounds 2]

Photos of the demo mission are drawn, each another one. In turn `shenhe run` judges them from a
folder, and a service judges them as clients post them; then a single group is posted to the idle
service, and `run --limit 1` judges one. The time of a run is that of its stages, without loading;
that of the service is from the first request to the last verdict. Both use the same cores, which
clients share with the service. Prints tables in Markdown, with the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene

COMMAND = (sys.executable, "-m", "shenhe")
MODEL = ("--model", "demo", "--adapters", "demo")
MISSION = "挡风板安装检查"
IDLE_ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=60)
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        groups = [
            _draw_group(folder / "tree", number, options.photos)
            for number in range(options.groups + IDLE_ROUNDS)
        ]
        _throughput(folder, groups[: options.groups], options.clients, options.rounds)
        _latency(folder, groups[options.groups :])
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"\n{os.cpu_count()} cores; load of the machine at the end: {load}")


def _draw_group(tree: Path, number: int, photos: int) -> Path:
    group = tree / MISSION / f"QC-{number:04d}"
    group.mkdir(parents=True)
    for index in range(photos):
        image = draw(photo_scene("test", number * photos + index)).convert("RGB")
        image.save(group / f"img-{index + 1:03d}.jpeg", quality=92)
    return group


def _throughput(folder: Path, groups: list[Path], clients: int, rounds: int) -> None:
    """Measure runs and services in turn, on the same photos."""
    photos = sum(len(list(group.iterdir())) for group in groups)
    print(f"{len(groups)} groups, {photos} photos, {clients} clients\n")
    print("| round | run, photos/s | service, photos/s | ratio |")
    print("|---|---|---|---|")
    ratios = []
    for number in range(rounds):
        runs = photos / _run(folder, f"run {number}", "--limit", str(len(groups)))
        with serving(folder / f"service {number}") as url:
            _post(url, groups[0], "warm")  # what a process does once
            served = photos / _post_all(url, groups, clients)
        ratios.append(served / runs)
        print(f"| {number + 1} | {runs:.1f} | {served:.1f} | {served / runs:.2f} |", flush=True)
    print(f"\nmedian ratio {statistics.median(ratios):.2f}\n")


def _latency(folder: Path, groups: list[Path]) -> None:
    """Measure one group at a time, while nothing else is to be done."""
    runs = [_run(folder, f"one {number}", "--limit", "1") for number in range(len(groups))]
    with serving(folder / "idle service") as url:
        _post(url, groups[0], "warm")
        served = []
        for group in groups:
            time.sleep(1)
            served.append(_post(url, group, group.name))
    one, other = statistics.median(runs), statistics.median(served)
    print("| one group, median seconds | run --limit 1 | idle service | ratio |")
    print("|---|---|---|---|")
    print(f"| of {len(groups)} | {one:.3f} | {other:.3f} | {other / one:.2f} |", flush=True)


def _run(folder: Path, name: str, *options: str) -> float:
    """Run both stages; return the seconds that they took, without loading."""
    out = folder / name
    command = [*COMMAND, "run", *MODEL, "--data-root", str(folder / "tree")]
    command += ["--output-dir", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    manifests = [json.loads(path.read_text("utf-8")) for path in out.glob("*/*.manifest.json")]
    return sum(float(manifest["this_session"]["seconds"]) for manifest in manifests)


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """Serve the bundled checkpoint; gives its address."""
    command = [*COMMAND, "serve", *MODEL, "--data", str(data), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.removeprefix("service: ").strip().rstrip("/")
        finally:
            process.terminate()


def _post_all(url: str, groups: list[Path], clients: int) -> float:
    """Post groups from several clients, each waiting for its verdict; return the seconds."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda group: _post(url, group, group.name, wait=0), groups))
    while _waiting(url):
        time.sleep(0.2)
    return time.perf_counter() - began


def _waiting(url: str) -> bool:
    """Whether jobs are queued or running."""
    return any(
        _ask(f"{url}/v1/groups?state={state}&limit=1")["groups"] for state in ("queued", "running")
    )


def _post(url: str, group: Path, group_id: str, wait: int = 120) -> float:
    """Post a group; return the seconds until its answer."""
    body = b"".join(
        b"--x\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in (
            ('name="mission"', MISSION.encode()),
            ('name="group_id"', group_id.encode()),
            *(
                (f'name="photos"; filename="{photo.name}"', photo.read_bytes())
                for photo in sorted(group.iterdir())
            ),
        )
    )
    began = time.perf_counter()
    _ask(f"{url}/v1/groups?wait={wait}", body + b"--x--\r\n")
    return time.perf_counter() - began


def _ask(url: str, body: bytes | None = None) -> dict[str, list[object]]:
    headers = {"Content-Type": "multipart/form-data; boundary=x"} if body else {}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=300) as answer:
        content = json.loads(answer.read())
    assert isinstance(content, dict)
    return content


if __name__ == "__main__":
    main()
