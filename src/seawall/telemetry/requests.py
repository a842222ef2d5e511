"""What is counted and written down of each request."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from typing import Protocol

from seawall.core.correlation import Correlation
from seawall.telemetry import catalogue
from seawall.telemetry.metrics import CounterSeries, HistogramSeries, Metrics
from seawall.telemetry.sink import Line

_access = logging.getLogger("seawall.access")
_root = logging.root
MOST_SHOWN = 1_000
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"})
"""Those that are counted under their own name; a client may send any."""


class ServedLike(Protocol):
    """A request that was served; `seawall.web.layer.Served` is one."""

    @property
    def at(self) -> float:
        """When it came, as seconds of the epoch."""
        ...

    @property
    def method(self) -> str:
        """As it was sent."""
        ...

    @property
    def path(self) -> str:
        """As it was sent, without the query."""
        ...

    @property
    def route(self) -> str:
        """The template of the route that took it."""
        ...

    @property
    def status(self) -> int:
        """The answer's status; 499 for a client that left before."""
        ...

    @property
    def seconds(self) -> float:
        """Until the answer was through."""
        ...

    @property
    def client(self) -> str:
        """The address of who sent it."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the answer's body."""
        ...

    @property
    def correlation(self) -> Correlation:
        """What it is called."""
        ...


class RequestMetrics:
    """Counts requests by method, route and status, their durations by method and route, those under way, websockets."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.declare(catalogue.HTTP_REQUESTS)
        self._seconds = metrics.declare(catalogue.HTTP_SECONDS)
        self._active = metrics.declare(catalogue.HTTP_ACTIVE).labels()
        self._bytes = metrics.declare(catalogue.HTTP_BYTES).labels()
        self._sockets = metrics.declare(catalogue.WEBSOCKETS_ACTIVE).labels()
        self._socket_seconds = metrics.declare(catalogue.WEBSOCKET_SECONDS)
        self._known: dict[tuple[str, str, int], tuple[CounterSeries, HistogramSeries]] = {}

    def began(self) -> None:
        """One has come."""
        active = self._active
        active.values[active.index] += 1.0

    def ended(self, served: ServedLike) -> None:
        """Count it. Done for every request: what `inc` would do is done here."""
        key = served.method, served.route, served.status
        count, durations = self._known.get(key) or self._find(*key)
        active, sizes, work = self._active, self._bytes, served.correlation
        active.values[active.index] -= 1.0
        count.values[count.index] += 1.0
        sizes.values[sizes.index] += served.size
        durations.observe(served.seconds, work.trace_id if work.sampled else None)

    def opened(self) -> None:
        """A websocket has come."""
        self._sockets.inc()

    def closed(self, route: str, seconds: float) -> None:
        """It has gone."""
        self._sockets.dec()
        self._socket_seconds.labels(route).observe(seconds)

    def _find(self, method: str, route: str, status: int) -> tuple[CounterSeries, HistogramSeries]:
        shown = method if method in METHODS else "OTHER"
        found = self._requests.labels(shown, route, status), self._seconds.labels(shown, route)
        if shown == method and found[0].labels[1] == route:
            self._known[method, route, status] = found
        return found


class AccessLog:
    """Writes a line of JSON for each request; probes that are answered well are not worth one.

    write: takes what makes a line and of what: it is made when it is written, while nobody waits. quiet: paths of
    probes. moment: the time as text, of seconds of the epoch.
    """

    def __init__(
        self,
        write: Callable[[Line], None],
        *,
        quiet: frozenset[str],
        moment: Callable[[float], str],
    ) -> None:
        self._write = write
        self._quiet = quiet
        self._moment = moment
        self._make = self._line  # once, not for each request
        self._shown: dict[tuple[str, str, int], tuple[str, str, str, str]] = {}

    def ended(self, served: ServedLike) -> None:
        """Have its line written."""
        if (served.path not in self._quiet or served.status >= 400) and _root.level <= logging.INFO:  # noqa: PLR2004
            self._write((self._make, served))

    def _line(self, served: ServedLike) -> bytes:
        key = served.method, served.route, served.status
        begins, goes_on, then, ends = self._shown.get(key) or self._show(*key)
        path, work = quoted(served.path)[1:-1], served.correlation
        line = (
            f'{{"time": "{self._moment(served.at)}{begins}{path}{goes_on}{work.request_id}", "trace_id": '
            f'"{work.trace_id}", "span_id": "{work.span_id}{then}{path}{ends}{served.seconds * 1000:.2f}, "size": '
            f'{served.size}, "client": {quoted(served.client)}}}\n'
        )
        return line.encode()

    def _show(self, method: str, route: str, status: int) -> tuple[str, str, str, str]:
        """What is the same on many lines, put together once: up to the path, the ids, the path again, the duration."""
        verb = quoted(method)
        found = (
            f'", "level": "info", "logger": "seawall.access", "message": "{verb[1:-1]} ',
            f' {status}", "request_id": "',
            f'", "method": {verb}, "route": {quoted(route)}, "path": "',
            f'", "status": {status}, "duration_ms": ',
        )
        if len(self._shown) < MOST_SHOWN:
            self._shown[method, route, status] = found
        return found


class LoggedAccess:
    """The same, as a record of the logger `seawall.access`, for whatever formats those."""

    def __init__(self, *, quiet: frozenset[str]) -> None:
        self._quiet = quiet

    def ended(self, served: ServedLike) -> None:
        """Write its line."""
        if served.path not in self._quiet or served.status >= 400:  # noqa: PLR2004
            took = served.seconds * 1000
            extra = {
                "method": served.method, "path": served.path, "route": served.route, "status": served.status,
                "duration_ms": round(took, 2), "size": served.size, "client": served.client,
            }  # fmt: skip
            _access.info("%s %s %d %.1f ms", served.method, served.path, served.status, took, extra=extra)


class Ring:
    """The last requests, the newest last, to be looked at. most: how many."""

    def __init__(self, most: int = 500) -> None:
        self.requests: deque[ServedLike] = deque(maxlen=most)
        self.ended = self.requests.append
