"""A run as OpenTelemetry traces: a span for each output, and one for each item within it."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from shenhe.rows.counts import RunCounts
from shenhe.runs.jobs import FinishedJob
from shenhe.runs.observing import problems


class Tracing:
    """Sends spans to where the standard variables of OpenTelemetry say (OTLP over HTTP)."""

    def __init__(self) -> None:
        """Send nothing yet."""
        self._provider = TracerProvider(resource=Resource.create({"service.name": "shenhe"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("shenhe")
        self._spans: dict[str, tuple[trace.Span, RunCounts]] = {}

    def began(self, title: str, counts: RunCounts, total: int) -> None:
        """Begin the span of an output."""
        span = self._tracer.start_span(title, attributes={"shenhe.total": total})
        self._spans[title] = span, counts

    def finished(self, title: str, finished: FinishedJob[Any, Any]) -> None:
        """Send the span of an item, which began when it was first asked for."""
        parent = trace.set_span_in_context(self._spans[title][0])
        failed = problems(finished)
        span = self._tracer.start_span(
            "item",
            parent,
            attributes={
                "shenhe.requests": len(finished.outcomes),
                "shenhe.attempts": sum(outcome.attempts for outcome in finished.outcomes),
                "shenhe.problems": failed,
            },
            start_time=finished.began_ns,
        )
        if failed:
            span.set_status(trace.StatusCode.ERROR, ", ".join(failed))
        span.end()

    def ended(self, title: str) -> None:
        """End the span of an output."""
        span, counts = self._spans.pop(title)
        span.set_attributes({"shenhe.done": counts.done, "shenhe.failed": counts.failed})
        span.end()

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.shutdown()
