"""Metrics on a port of their own, for a process that serves nothing else."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

_logger = logging.getLogger("seawall.metrics")
_PATH = "/metrics"
_PATIENCE = 5.0
"""Seconds in which a client has to say or take something."""
_MOST = 16
"""Clients at one time; whoever comes beyond that is sent away."""
Expose = Callable[[str], tuple[bytes, str]]
"""All metrics and their content type, for who sends this `Accept` header."""


class MetricsServer:
    """Answers `GET /metrics` on `port` of every IPv4 address, in threads. Raises `OSError` where it can't listen.

    Whoever can reach the port may ask.

    port: 0 for a free one.
    """

    def __init__(self, expose: Expose, port: int) -> None:
        self._server = _Server(expose, port)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="seawall-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        serves = self._thread.is_alive()  # not in a process that was forked off, where nobody ends what was under way
        if serves:
            self._server.shutdown()
        self._server.server_close()
        if serves:
            self._server.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, expose: Expose, port: int) -> None:
        super().__init__(("", port), _Handler)
        self._expose = expose
        self._one = threading.Lock()
        self._room = threading.BoundedSemaphore(_MOST)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread, where there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """By one thread at a time: processes exclude each other, the threads of one don't."""
        with self._one:
            return self._expose(accept)

    def wait(self) -> None:
        """Until nobody is told anything any more."""
        self._one.acquire()  # for good

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left isn't worth a word."""
        if not isinstance(sys.exc_info()[1], OSError):
            _logger.exception("a request for the metrics could not be answered")


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version, sys_version = "seawall", ""

    def do_GET(self) -> None:
        """Answer."""
        if self.path.partition("?")[0] != _PATH:
            self._answer(404, b"metrics are at /metrics\n", "text/plain; charset=utf-8")
            return
        try:
            body, kind = cast("_Server", self.server).exposed(self.headers.get("accept", ""))
        except Exception:
            _logger.exception("the metrics could not be told")
            self._answer(500, b"the metrics could not be told; see the log\n", "text/plain; charset=utf-8")
            return
        self._answer(200, body, kind)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name where it is declared
        """A scrape isn't worth a line."""
