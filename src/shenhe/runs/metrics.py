"""Counts of a run for Prometheus, over HTTP; they are read where they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shenhe.errors import OptionError
from shenhe.rows.counts import RunCounts
from shenhe.runs.jobs import FinishedJob
from shenhe.runs.observing import problems


class Metrics(Collector):
    """Serves what all outputs of this process hold, on loopback unless told otherwise."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Listen; the thread that answers ends with the process.

        Raises: UsageError if the port is taken.
        """
        self._counts: dict[str, RunCounts] = {}
        self._totals: dict[str, int] = {}
        self._running: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._problems: Counter[tuple[str, str]] = Counter()
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise OptionError("metrics_port", port, str(error.strerror)) from error

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def began(self, title: str, counts: RunCounts, total: int) -> None:
        """Take note of an output."""
        self._counts[title], self._totals[title] = counts, total
        self._running.add(title)

    def finished(self, title: str, finished: FinishedJob[Any, Any]) -> None:
        """Count the attempts and the problems of an item."""
        self._attempts[title] += sum(outcome.attempts for outcome in finished.outcomes)
        self._problems.update((title, code) for code in problems(finished))

    def ended(self, title: str) -> None:
        """Take note that an output was closed."""
        self._running.discard(title)

    def collect(self) -> Iterator[Metric]:
        """Give all counts as they are now."""
        counted = {
            "done": CounterMetricFamily("shenhe_done", "Items with a row", labels=["output"]),
            "failed": CounterMetricFamily(
                "shenhe_failed", "Items that failed in this session", labels=["output"]
            ),
            "undecided": CounterMetricFamily(
                "shenhe_undecided", "Groups without a verdict", labels=["output"]
            ),
            "photos": CounterMetricFamily(
                "shenhe_photos", "Photos of this session", labels=["output"]
            ),
            "new_tokens": CounterMetricFamily(
                "shenhe_new_tokens", "Tokens written in this session", labels=["output"]
            ),
        }
        total = GaugeMetricFamily("shenhe_total", "Items to be done in all", labels=["output"])
        running = GaugeMetricFamily("shenhe_running", "Whether it is written", labels=["output"])
        for title, counts in list(self._counts.items()):
            for name, family in counted.items():
                value = counts.already + counts.done if name == "done" else getattr(counts, name)
                family.add_metric([title], value)
            total.add_metric([title], self._totals[title])
            running.add_metric([title], float(title in self._running))
        attempts = CounterMetricFamily(
            "shenhe_attempts", "Questions, those asked again included", labels=["output"]
        )
        for title, count in list(self._attempts.items()):
            attempts.add_metric([title], count)
        failures = CounterMetricFamily(
            "shenhe_problems", "What failed, by its code", labels=["output", "code"]
        )
        for (title, code), count in list(self._problems.items()):
            failures.add_metric([title, code], count)
        yield from (*counted.values(), total, running, attempts, failures)
