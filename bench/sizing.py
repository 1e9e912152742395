"""Throughput of a pipeline in photos a second: a model, a simulation, and measurements.

    python -m bench.sizing [--gpu-rate 9.8] [--client-ms 36] [--photo-mb 4.0]

The model is the least of four rates: opening photos (cores), sending them (network), answering them
(GPUs), and concurrent requests divided by the time of an answer. The simulation queues photos for
each resource, with answers of varying length. Both are compared with runs of this client against a
server that sleeps. A second table sizes 1, 8 and 64 GPUs. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import heapq
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.server import cpu_ms, draw_photos, requests
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from tests.servers.starting import scripted

SPREAD = 0.3
"""Standard deviation of an answer's time, relative to its mean."""
SIMULATED, MEASURED = 20_000, 1500
POINTS = ((4, 0.05), (8, 0.1), (16, 0.1), (32, 0.2), (64, 0.2), (64, 0.05))
"""Concurrent requests, and the server's seconds for one."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Resources of a pipeline. Units: core milliseconds a photo, MB, MB a second, seconds."""

    cores: float
    open_ms: float
    photo_mb: float
    network_mb: float
    at_once: int
    answer_seconds: float

    @property
    def rate(self) -> float:
        """Photos a second, by the slowest part."""
        return min(
            self.cores * 1000 / self.open_ms,
            self.network_mb / self.photo_mb,
            # The time of an answer includes opening the photo.
            self.at_once / (self.answer_seconds + self.open_ms / 1000),
        )


def simulate(pipeline: Pipeline, count: int = SIMULATED) -> float:
    """Queue photos for a core, the network and an answer. Returns photos a second."""
    random_times = random.Random(5)
    opening, sending = pipeline.open_ms / 1000, pipeline.photo_mb / pipeline.network_mb
    cores = [0.0] * max(1, round(pipeline.cores))
    scale = max(1, round(pipeline.cores)) / pipeline.cores
    slots = [0.0] * pipeline.at_once
    line_free = last = 0.0
    for _ in range(count):
        # A slot is taken before its photo is opened: the total in progress is bounded.
        start = max(heapq.heappop(cores), slots[0] - opening * scale - sending)
        opened_at = start + opening * scale
        heapq.heappush(cores, opened_at)
        line_free = max(line_free, opened_at) + sending
        seconds = opening + max(pipeline.answer_seconds * random_times.gauss(1, SPREAD), 0.0)
        last = max(line_free, heapq.heappop(slots)) + seconds
        heapq.heappush(slots, last)
    return count / max(slots)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu-rate", type=float, default=9.8, help="photos a second of one GPU")
    parser.add_argument("--gpu-at-once", type=int, default=64)
    parser.add_argument("--client-ms", type=float, default=36.0)
    parser.add_argument("--photo-mb", type=float, default=4.0)
    parser.add_argument("--network-mb", type=float, default=1100.0, help="of the client: 10 Gbit/s")
    options = parser.parse_args()
    _measure()
    _size(options)


def _measure() -> None:
    """Compare model, simulation and runs on this machine, whose cores the server shares."""
    with tempfile.TemporaryDirectory() as folder:
        _print_points(draw_photos(Path(folder), "256x256"))


def _print_points(photos: list[Path]) -> None:
    print("| at once | seconds an answer | model | simulation | measured | of the model |")
    print("|---|---|---|---|---|---|")
    both = sum(_seconds(photos, MEASURED, 64, 0.0)[1:]) * 1000
    for at_once, seconds in POINTS:
        pipeline = Pipeline(2, both, 0.26, 5000, at_once, seconds)
        rate = MEASURED / _seconds(photos, MEASURED, at_once, seconds)[0]
        print(
            f"| {at_once} | {seconds} | {pipeline.rate:.0f} | {simulate(pipeline):.0f} |"
            f" {rate:.0f} | {rate / pipeline.rate:.2f} |",
            flush=True,
        )


def _seconds(
    photos: list[Path], count: int, at_once: int, delay: float
) -> tuple[float, float, float]:
    """Run. Returns the seconds, and the core seconds a photo of client and server."""
    with scripted("--delay", str(delay)) as served:
        spec = EngineSpec(
            model="scripted", batch_size=at_once, engine=ServerOptions(base_url=served.url)
        )
        engine = ServerEngine(spec)
        list(engine.answer(requests(photos, 3 * at_once)))
        start, before = time.perf_counter(), cpu_ms(served.process.pid)
        list(engine.answer(requests(photos, count)))
        seconds = time.perf_counter() - start
        after = cpu_ms(served.process.pid)
        engine.close()
    client, server = (
        (end - begin) / count / 1000 for end, begin in zip(after, before, strict=True)
    )
    return seconds, client, server


def _size(options: argparse.Namespace) -> None:
    print()
    print("| GPUs | photos/s | cores to open photos | network, MB/s | hours a million photos |")
    print("|---|---|---|---|---|")
    for gpus in (1, 8, 64):
        target = gpus * options.gpu_rate
        cores = target * options.client_ms / 1000
        at_once = gpus * options.gpu_at_once
        pipeline = Pipeline(
            max(1.0, 1.25 * cores),
            options.client_ms,
            options.photo_mb,
            options.network_mb,
            at_once,
            options.gpu_at_once / options.gpu_rate,
        )
        rate = simulate(pipeline, 20_000 * max(1, gpus // 8))
        print(
            f"| {gpus} | {rate:.0f} | {pipeline.cores:.1f} | {rate * options.photo_mb:.0f} |"
            f" {1e6 / rate / 3600:.1f} |"
        )


if __name__ == "__main__":
    main()
