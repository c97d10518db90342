"""A collector of traces and metrics: OTLP over HTTP, decoded as any collector does."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids in hex."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]


class Collector:
    """`url` is for OTEL_EXPORTER_OTLP_ENDPOINT; `raw` is all that was sent.

    `metrics` are the newest of each service, by name, as protobuf messages; `instances` the ids of the processes.
    """

    def __init__(self, port: int = 0) -> None:
        self.spans: list[Seen] = []
        self.metrics: dict[str, dict[str, Any]] = {}
        self.instances: dict[str, set[str]] = {}
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> None:
        self.raw += body
        {"/v1/traces": self._take_spans, "/v1/metrics": self._take_metrics}[path](body)

    def _take_metrics(self, body: bytes) -> None:
        for found in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            who = _attributes(found.resource)
            service = who["service.name"]
            self.metrics[service] = {metric.name: metric for scope in found.scope_metrics for metric in scope.metrics}
            self.instances.setdefault(service, set()).add(who["service.instance.id"])

    def _take_spans(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = _attributes(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_seen(service, span) for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _seen(service: str, span: Any) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        attributes=_attributes(span),
    )


def labels(point: Any) -> dict[str, str]:
    """Of a point of a metric."""
    return _attributes(point)


def _attributes(holder: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}
