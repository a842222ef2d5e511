"""What is counted and written down of each request."""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Protocol

from seawall.core.correlation import Correlation
from seawall.telemetry import catalogue
from seawall.telemetry.metrics import CounterSeries, GaugeSeries, HistogramSeries, Metrics
from seawall.telemetry.sink import Line

_access = logging.getLogger("seawall.access")
_root = logging.root
_ERROR = 400
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


class RequestBatch:
    """Keeps requests that were served for a moment, and tells of many at once, which costs half of telling of each.

    active: how many are under way, which is true at once. takers: told `PAUSE` seconds later, or when there are `MANY`,
    or at `flush`, which whoever reads what they count calls before. They get requests of one method, route and status
    each time, at least one, in the order in which they ended.
    """

    PAUSE = 0.02
    MANY = 64

    def __init__(self, active: GaugeSeries, takers: Sequence[Callable[[list[Any]], None]]) -> None:
        self._active = active
        self._takers = tuple(takers)
        self._waiting: list[ServedLike] = []
        self._timed: AbstractEventLoop | None = None
        """The loop that will flush."""
        self._one = threading.Lock()

    def began(self) -> None:
        """One has come."""
        active = self._active
        active.values[active.index] += 1.0

    def ended(self, served: ServedLike) -> None:
        """One was served. Called on an event loop."""
        active, waiting = self._active, self._waiting
        active.values[active.index] -= 1.0
        waiting.append(served)
        if len(waiting) >= self.MANY:
            self.flush()
        elif self._timed is None or self._timed.is_closed():
            self._flush_soon()

    def flush(self) -> None:
        """Tell of all that wait."""
        with self._one:
            # Other threads may append meanwhile, behind what is taken.
            batch = self._waiting[:]
            del self._waiting[: len(batch)]
            alike: dict[tuple[str, str, int], list[ServedLike]] = {}
            for served in batch:
                key = served.method, served.route, served.status
                if key in alike:
                    alike[key].append(served)
                else:
                    alike[key] = [served]
            for requests in alike.values():
                for take in self._takers:
                    take(requests)

    def _flush_soon(self) -> None:
        self._timed = loop = get_running_loop()
        loop.call_later(self.PAUSE, self._due)

    def _due(self) -> None:
        self._timed = None
        self.flush()


class RequestMetrics:
    """Counts requests by method, route and status, their durations by method and route, those under way, websockets.

    active: those under way.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.active = metrics.declare(catalogue.HTTP_ACTIVE).labels()
        self._requests = metrics.declare(catalogue.HTTP_REQUESTS)
        self._seconds = metrics.declare(catalogue.HTTP_SECONDS)
        self._bytes = metrics.declare(catalogue.HTTP_BYTES).labels()
        self._sockets = metrics.declare(catalogue.WEBSOCKETS_ACTIVE).labels()
        self._socket_seconds = metrics.declare(catalogue.WEBSOCKET_SECONDS)
        self._known: dict[tuple[str, str, int], tuple[CounterSeries, HistogramSeries]] = {}

    def served(self, requests: Sequence[ServedLike]) -> None:
        """Count them, of one method, route and status."""
        key = requests[0].method, requests[0].route, requests[0].status
        count, durations = self._known.get(key) or self._find(*key)
        count.inc(len(requests))
        self._bytes.inc(sum([served.size for served in requests]))
        durations.observe_all([served.seconds for served in requests])
        for served in requests:
            if served.correlation.sampled:
                durations.show(served.seconds, served.correlation.trace_id)

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

    write: takes what makes a line and of what, many at once: they are made when they are written, while nobody waits.
    quiet: paths of probes. moment: the time as text, of seconds of the epoch.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Line]], None],
        *,
        quiet: frozenset[str],
        moment: Callable[[float], str],
    ) -> None:
        self._write = write
        self._quiet = quiet
        self._moment = moment
        self._lines: dict[tuple[str, str, int], Callable[[ServedLike], bytes]] = {}

    def served(self, requests: Sequence[ServedLike]) -> None:
        """Have their lines written. They are of one method, route and status."""
        if _root.level <= logging.INFO:
            first, quiet = requests[0], self._quiet
            key = first.method, first.route, first.status
            make = self._lines.get(key) or self._line_of(*key)
            shown = first.status >= _ERROR
            self._write([(make, served) for served in requests if shown or served.path not in quiet])

    def _line_of(self, method: str, route: str, status: int) -> Callable[[ServedLike], bytes]:
        """What makes a line. What is the same on many is put together once."""
        verb, moment = quoted(method), self._moment
        begins = f'", "level": "info", "logger": "seawall.access", "message": "{verb[1:-1]} '
        goes_on = f' {status}", "request_id": "'
        then = f'", "method": {verb}, "route": {quoted(route)}, "path": "'
        ends = f'", "status": {status}, "duration_ms": '

        def line(served: ServedLike) -> bytes:
            path, work = quoted(served.path)[1:-1], served.correlation
            took = _decimal(int(served.seconds * 100_000 + 0.5))
            text = (
                f'{{"time": "{moment(served.at)}{begins}{path}{goes_on}{work.request_id}", "trace_id": '
                f'"{work.trace_id}", "span_id": "{work.span_id}{then}{path}{ends}{took}, "size": '
                f'{served.size}, "client": {quoted(served.client)}}}\n'
            )
            return text.encode()

        if len(self._lines) < MOST_SHOWN:
            self._lines[method, route, status] = line
        return line


@lru_cache(1024)  # most requests take some hundredths of a millisecond, the same as others
def _decimal(hundredths: int) -> str:
    return f"{hundredths / 100:.2f}"


class LoggedAccess:
    """The same, as a record of the logger `seawall.access`, for whatever formats those."""

    def __init__(self, *, quiet: frozenset[str]) -> None:
        self._quiet = quiet

    def ended(self, served: ServedLike) -> None:
        """Write its line."""
        if served.path not in self._quiet or served.status >= _ERROR:
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
