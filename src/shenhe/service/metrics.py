"""Figures of a service for Prometheus: requests as they were counted, jobs as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shenhe.service.observing import FinishedRequest
from shenhe.service.parts import Service

SECONDS: Final = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")


class Metrics(Collector):
    """Counts requests, and reads jobs, uploads and webhooks when it is scraped."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        names = ("method", "route", "status")
        self._requests = Counter(
            "shenhe_requests", "Requests that were answered", names, registry=self._registry
        )
        self._seconds = Histogram(
            "shenhe_request_seconds",
            "Seconds until a request was answered",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._registry.register(self)

    def finished(self, request: FinishedRequest) -> None:
        """Count a request."""
        method = request.method if request.method in METHODS else "other"
        self._requests.labels(method, request.route, str(request.status)).inc()
        self._seconds.labels(request.route).observe(request.seconds)

    def write(self) -> bytes:
        """Write all figures in Prometheus' text format.

        Raises: DatabaseAwayError; RunError.
        """
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Describe nothing: what is collected is read from the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of now."""
        service = self._service
        jobs = ((str(state), count) for state, count in service.store.counts().items())
        yield _gauge("shenhe_jobs", "Groups by their state", "state", dict(jobs))
        backlog = {"": service.store.backlog_bytes()}
        yield _gauge("shenhe_backlog_bytes", "Photos of groups that wait", "", backlog)
        yield _gauge("shenhe_uploads", "Uploads under way", "", {"": service.pressure.uploads})
        free = {"": service.submissions.inbox.free_bytes()}
        yield _gauge("shenhe_disk_free_bytes", "Free on the disk of the photos", "", free)
        if service.webhooks is not None:
            told = service.webhooks.deliveries.counts()
            yield _gauge("shenhe_webhooks", "Webhooks by their state", "state", told)
        if service.chat is not None:
            hub = service.chat.find_hub()
            load = hub.load
            asked = {"waiting": load.waiting, "in_flight": load.in_flight}
            yield _gauge("shenhe_model_requests", "Requests at the model", "state", asked)
            is_there = {"": int(not hub.problem)}
            yield _gauge("shenhe_model_ready", "Whether the model answers", "", is_there)


def _gauge(name: str, words: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, words, labels=[label] if label else None)
    for value, number in values.items():
        gauge.add_metric([value] if label else [], number)
    return gauge
