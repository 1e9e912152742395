"""How many photos a second a pipeline does: a model of it, a simulation, and measured points.

    python -m bench.sizing [--gpu-rate 9.8] [--client-ms 36] [--photo-mb 4.0]

The model: as fast as the slowest of opening photos (cores), sending them (network), answering them
(GPUs), and of what is under way at once by how long an answer takes. The simulation lets photos
queue for each of these, with answers of uneven length. Both are held against runs of this client
and an instant server that answers after a while. Then: what 1, 8 and 64 GPUs need, by the figures
given. Prints tables in Markdown.
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
"""Standard deviation of an answer's time, of its mean."""
SIMULATED, MEASURED = 20_000, 1500
POINTS = ((4, 0.05), (8, 0.1), (16, 0.1), (32, 0.2), (64, 0.2), (64, 0.05))
"""Requests at once, and seconds that the server takes for one."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Units: milliseconds of a core for each photo, megabytes, megabytes a second, seconds."""

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
            # What client and server do to a photo is part of its answer's time.
            self.at_once / (self.answer_seconds + self.open_ms / 1000),
        )


def simulate(pipeline: Pipeline, count: int = SIMULATED) -> float:
    """Let photos queue for a core, for the network and for an answer; give photos a second."""
    drawn = random.Random(5)
    opening, sending = pipeline.open_ms / 1000, pipeline.photo_mb / pipeline.network_mb
    cores = [0.0] * max(1, round(pipeline.cores))
    scale = max(1, round(pipeline.cores)) / pipeline.cores
    places = [0.0] * pipeline.at_once
    free_line = last = 0.0
    for _ in range(count):
        # A place is taken before its photo is opened: what is under way is bounded as a whole.
        begun = max(heapq.heappop(cores), places[0] - opening * scale - sending)
        opened = begun + opening * scale
        heapq.heappush(cores, opened)
        free_line = max(free_line, opened) + sending
        taken = opening + max(pipeline.answer_seconds * drawn.gauss(1, SPREAD), 0.0)
        last = max(free_line, heapq.heappop(places)) + taken
        heapq.heappush(places, last)
    return count / max(places)


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
    """Compare model, simulation and runs on this machine, whose two cores the server shares."""
    with tempfile.TemporaryDirectory() as folder:
        _tell_points(draw_photos(Path(folder), "256x256"))


def _tell_points(photos: list[Path]) -> None:
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
    """Run; give the seconds, and the seconds of a core that client and server took for a photo."""
    with scripted("--delay", str(delay)) as served:
        spec = EngineSpec(
            model="scripted", batch_size=at_once, engine=ServerOptions(base_url=served.url)
        )
        engine = ServerEngine(spec)
        list(engine.answer(requests(photos, 3 * at_once)))
        began, before = time.perf_counter(), cpu_ms(served.process.pid)
        list(engine.answer(requests(photos, count)))
        seconds = time.perf_counter() - began
        after = cpu_ms(served.process.pid)
        engine.close()
    client, server = (
        (late - early) / count / 1000 for late, early in zip(after, before, strict=True)
    )
    return seconds, client, server


def _size(options: argparse.Namespace) -> None:
    print()
    print("| GPUs | photos/s | cores to open photos | network, MB/s | hours a million photos |")
    print("|---|---|---|---|---|")
    for gpus in (1, 8, 64):
        wanted = gpus * options.gpu_rate
        cores = wanted * options.client_ms / 1000
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
