"""Loopback receivers of what services send: spans by OTLP, and Sentry's envelopes."""

import gzip
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


class Loopback:
    """Takes what is posted to it. status: what it answers, after `delay` seconds. paths: to which something came."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.status, self.delay = 200, 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                receiver.paths.add(self.path)
                receiver.take(self.path, body)
                time.sleep(receiver.delay)
                self.send_response(receiver.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def take(self, path: str, body: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Receiver(Loopback):
    """Sentry: `items` has what was in its envelopes, as type and body."""

    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        super().__init__()
        self.dsn = f"http://key@{self.address}/1"

    def take(self, path: str, body: bytes) -> None:
        self.texts.append(body.decode())
        lines = body.decode().splitlines()[1:]
        for head, content in zip(lines[::2], lines[1::2], strict=True):
            self.items.append((json.loads(head)["type"], json.loads(content)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for item, body in self.items if item == kind]


@dataclass(frozen=True, kw_only=True)
class Received:
    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, Any]
    failed: bool


class Collector(Loopback):
    """An OTLP/HTTP receiver."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.bodies: list[bytes] = []
        super().__init__()
        self.url = f"http://{self.address}"

    def take(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            for scope in resource.scope_spans:
                self.spans += [received(service, span) for span in scope.spans]

    def named(self, name: str, service: str | None = None) -> list[Received]:
        return [span for span in self.spans if span.name == name and service in {None, span.service}]


def received(service: str, span: Any) -> Received:
    return Received(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes={one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes},
        failed=span.status.code == Status.STATUS_CODE_ERROR,
    )
