"""A run as OpenTelemetry traces: a span for each output, and one for each item within it."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from shenhe.runs.observers import RunInfo
from shenhe.runs.work import FinishedJob


class Tracing:
    """Sends spans over OTLP/HTTP to the endpoint of OpenTelemetry's environment variables."""

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "shenhe"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("shenhe")
        self._spans: dict[str, trace.Span] = {}

    def began(self, info: RunInfo) -> None:
        """Start the span of an output."""
        attributes = {"shenhe.total": info.total}
        self._spans[info.title] = self._tracer.start_span(info.title, attributes=attributes)

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Send the span of an item, which started when the job was handed to the engine."""
        parent = trace.set_span_in_context(self._spans[info.title])
        codes = [rejection.code for rejection in job.rejections]
        span = self._tracer.start_span(
            "item",
            parent,
            attributes={
                "shenhe.requests": len(job.outcomes),
                "shenhe.attempts": job.attempts,
                "shenhe.problems": codes,
            },
            start_time=job.began_ns,
        )
        if codes:
            span.set_status(trace.StatusCode.ERROR, ", ".join(codes))
        span.end()

    def ended(self, info: RunInfo) -> None:
        """End the span of an output."""
        span = self._spans.pop(info.title)
        span.set_attributes({"shenhe.done": info.counts.done, "shenhe.failed": info.counts.failed})
        span.end()

    def close(self) -> None:
        """Send the spans that are still buffered."""
        self._provider.shutdown()
