"""Who looks on: Prometheus over HTTP, OpenTelemetry's spans on the wire, a log of JSON lines."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shenhe.config import load_missions, load_prompts
from shenhe.errors import UsageError
from shenhe.intake import PhotoTree
from shenhe.messages import ImagePart, Request, RequestFailed
from shenhe.runs import RunOptions, run_summaries
from shenhe.runs.observers import Observer
from shenhe.runs.observers.json_log import JsonLog
from shenhe.runs.observers.metrics import Metrics
from shenhe.runs.observers.tracing import Tracing
from tests.scripted import ScriptedEngine
from tests.servers.starting import free_port

MISSION = load_missions().get("挡风板安装检查")


def _script(request: Request) -> str | RequestFailed:
    (photo,) = (
        part.path for m in request.messages for part in m.parts if isinstance(part, ImagePart)
    )
    if photo.parent.name.endswith("9"):
        return RequestFailed(request.key, "truncated", f"{photo}: damaged", request.attempt)
    return "" if request.attempt == 0 and photo.name.startswith("img-002") else "无关图片"


def _run(tree: Path, out: Path, observer: Observer) -> tuple[int, int]:
    counts = run_summaries(
        ScriptedEngine(_script),
        PhotoTree(tree),
        MISSION,
        load_prompts().summary,
        out,
        engine_options={},
        run=RunOptions(observers=(observer,)),
    )
    return counts.done, counts.failed


def test_prometheus(tree: Path, tmp_path: Path) -> None:
    port = free_port()
    metrics = Metrics(port)
    with pytest.raises(UsageError, match=f"--metrics-port {port}"):
        Metrics(port)
    done, failed = _run(tree, tmp_path, metrics)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        metrics_text = answer.read().decode()
    metrics.close()
    output = 'output="Stage-A 挡风板安装检查"'
    assert failed >= 1
    for line in (
        f"shenhe_done_total{{{output}}} {done}.0",
        f"shenhe_failed_total{{{output}}} {failed}.0",
        f"shenhe_total{{{output}}} {done + failed}.0",
        f"shenhe_running{{{output}}} 0.0",
    ):
        assert line in metrics_text, metrics_text
    assert f'shenhe_problems_total{{code="truncated",{output}}}' in metrics_text.replace(
        f'{{{output},code="truncated"}}', f'{{code="truncated",{output}}}'
    )


def test_a_log_of_json_lines(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.jsonl"
    log = JsonLog(path)
    done, failed = _run(tree, tmp_path / "out", log)
    log.close()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["message"] == "began"
    assert lines[0]["total"] == done + failed
    assert (lines[-1]["message"], lines[-1]["done"]) == ("ended", done)
    between = lines[1:-1]
    assert between
    assert {line["code"] for line in between} == {"truncated"}
    assert all("damaged" in line["message"] and line["time"] for line in between)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A collector of spans, as OTLP over HTTP has it."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    yield spans
    server.shutdown()
    server.server_close()
    thread.join()


def test_traces(collector: list[Any], tree: Path, tmp_path: Path) -> None:
    tracing = Tracing()
    done, failed = _run(tree, tmp_path, tracing)
    tracing.close()
    (output,) = (span for span in collector if span.name == "Stage-A 挡风板安装检查")
    items = [span for span in collector if span.name == "item"]
    assert len(items) == done + failed
    assert all(span.parent_span_id == output.span_id for span in items)
    assert all(output.start_time_unix_nano <= s.start_time_unix_nano for s in items)
    attributes = [{a.key: a.value for a in span.attributes} for span in items]
    assert sum(bool(facts["shenhe.problems"].array_value.values) for facts in attributes) == failed
    assert any(
        facts["shenhe.attempts"].int_value > facts["shenhe.requests"].int_value
        for facts in attributes
    )
