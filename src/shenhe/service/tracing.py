"""Requests as OpenTelemetry spans, sent to where its environment variables say."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from shenhe.service.observing import FinishedRequest


class RequestTracing:
    """Sends a span for each request over OTLP/HTTP."""

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "shenhe serve"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("shenhe")

    def finished(self, request: FinishedRequest) -> None:
        """Send the span of a request."""
        span = self._tracer.start_span(
            f"{request.method} {request.route}",
            kind=trace.SpanKind.SERVER,
            start_time=request.began_ns,
            attributes={
                "http.request.method": request.method,
                "http.route": request.route,
                "http.response.status_code": request.status,
                "enduser.id": request.caller,
            },
        )
        if request.status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        span.end(request.began_ns + int(request.seconds * 1e9))

    def close(self) -> None:
        """Send the spans that are still buffered."""
        self._provider.shutdown()
