"""Counts of a run for Prometheus over HTTP, computed when they are scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shenhe.errors import UsageError
from shenhe.runs.observers import RunInfo
from shenhe.runs.work import FinishedJob


class Metrics(Collector):
    """Serves the counts of all outputs of this process, on loopback by default."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Listen; the thread that answers ends with the process.

        Raises: UsageError if the port is taken.
        """
        self._runs: dict[str, RunInfo] = {}
        self._running: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._rejections: Counter[tuple[str, str]] = Counter()
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise UsageError(f"--metrics-port {port}: {error.strerror}") from error

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def began(self, info: RunInfo) -> None:
        """Add an output."""
        self._runs[info.title] = info
        self._running.add(info.title)

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Count the attempts and the rejections of an item."""
        self._attempts[info.title] += job.attempts
        self._rejections.update((info.title, rejection.code) for rejection in job.rejections)

    def ended(self, info: RunInfo) -> None:
        """Mark an output as no longer running."""
        self._running.discard(info.title)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their current values."""
        done = _counter("shenhe_done", "Items with a row")
        failed = _counter("shenhe_failed", "Items that failed in this session")
        undecided = _counter("shenhe_undecided", "Groups without a verdict")
        photos = _counter("shenhe_photos", "Photos of this session")
        new_tokens = _counter("shenhe_new_tokens", "Tokens written in this session")
        total = GaugeMetricFamily("shenhe_total", "Items to be done in all", labels=["output"])
        running = GaugeMetricFamily("shenhe_running", "Whether it is written", labels=["output"])
        for title, info in list(self._runs.items()):
            counts = info.counts
            done.add_metric([title], counts.already + counts.done)
            failed.add_metric([title], counts.failed)
            undecided.add_metric([title], counts.undecided)
            photos.add_metric([title], counts.photos)
            new_tokens.add_metric([title], counts.new_tokens)
            total.add_metric([title], info.total)
            running.add_metric([title], float(title in self._running))
        attempts = _counter("shenhe_attempts", "Questions, those asked again included")
        for title, count in list(self._attempts.items()):
            attempts.add_metric([title], count)
        rejections = _counter("shenhe_problems", "What failed, by its code", "output", "code")
        for (title, code), count in list(self._rejections.items()):
            rejections.add_metric([title, code], count)
        yield from (done, failed, undecided, photos, new_tokens)
        yield from (total, running, attempts, rejections)


def _counter(name: str, description: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, description, labels=labels or ("output",))
