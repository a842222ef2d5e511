"""What is counted and written down of each request."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from asyncio import AbstractEventLoop, get_running_loop
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Protocol

from seawall.core.correlation import Correlation
from seawall.telemetry import catalogue
from seawall.telemetry.metrics import CounterSeries, GaugeSeries, HistogramSeries, Metrics

_access = logging.getLogger("seawall.access")
_logger = logging.getLogger("seawall.requests")
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

    active: how many are under way, which is true at once; `ring`, too, has each at once. takers: told `PAUSE`
    seconds later, or when there are `MANY`, or at `flush`, which whoever reads what they count calls before. They get
    requests of one method, route and status each time, at least one, in the order in which they ended.
    """

    PAUSE = 0.02
    MANY = 64

    def __init__(self, active: GaugeSeries, ring: Ring, takers: Sequence[Callable[[list[Any]], None]]) -> None:
        self._active = active
        self._keep = ring.requests.append
        self._takers = tuple(takers)
        self._waiting: list[ServedLike] = []
        self._timed: AbstractEventLoop | None = None
        """The loop that will flush."""
        self._one = threading.RLock()
        self._telling = False
        _batches.add(self)

    def began(self) -> None:
        """One has come."""
        active = self._active
        active.values[active.index] += 1.0

    def ended(self, served: ServedLike) -> None:
        """One was served. Called on an event loop."""
        active, waiting = self._active, self._waiting
        active.values[active.index] -= 1.0
        self._keep(served)
        waiting.append(served)
        if len(waiting) >= self.MANY:
            self.flush()
        else:
            timed = self._timed
            if timed is None or not timed.is_running():
                self._flush_soon()

    def flush(self) -> None:
        """Tell of all that wait. Never raises."""
        with self._one:
            if self._telling:
                return  # called by what is told, or by the garbage collector meanwhile: it goes on with what has come
            self._telling = True
            try:
                while self._waiting:
                    self._tell()
            finally:
                self._telling = False

    def forked(self) -> None:
        """This is a new process; what waited is the other's to tell of."""
        self._waiting.clear()
        self._timed, self._telling = None, False
        self._one = threading.RLock()

    def _tell(self) -> None:
        # Other threads may append meanwhile, behind what is taken.
        batch = self._waiting[:]
        del self._waiting[: len(batch)]
        alike: dict[tuple[str, str, int], list[ServedLike]] = defaultdict(list)
        route, method, status, append = None, "", 0, batch.append
        for served in batch:
            if served.route is not route or served.status != status or served.method != method:
                method, route, status = served.method, served.route, served.status
                append = alike[method, route, status].append
            append(served)
        for requests in alike.values():
            for take in self._takers:
                try:
                    take(requests)
                except Exception:
                    _logger.exception("%d requests could not be counted or written down", len(requests))

    def _flush_soon(self) -> None:
        try:
            loop = get_running_loop()
        except RuntimeError:  # one that was abandoned, and ended by the garbage collector
            return
        self._timed = loop
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

    write: takes many lines at once. quiet: paths of probes. moment: the time as text, of seconds of the epoch.
    """

    def __init__(
        self,
        write: Callable[[Sequence[bytes]], None],
        *,
        quiet: frozenset[str],
        moment: Callable[[float], str],
    ) -> None:
        self._write = write
        self._quiet = quiet
        self._moment = moment
        self._lines: dict[tuple[str, str, int], _Lines] = {}

    def served(self, requests: Sequence[ServedLike]) -> None:
        """Have their lines written. They are of one method, route and status."""
        if _root.level <= logging.INFO:
            first, quiet = requests[0], self._quiet
            key = first.method, first.route, first.status
            lines = self._lines.get(key) or self._lines_of(*key)
            if first.status < _ERROR:
                requests = [served for served in requests if served.path not in quiet]
            if requests:
                # Made here, not in the thread that writes them: what they are made of is at hand still.
                self._write(lines.of(requests))

    def _lines_of(self, method: str, route: str, status: int) -> _Lines:
        lines = _Lines(method, route, status, self._moment)
        if len(self._lines) < MOST_SHOWN and method in METHODS:
            self._lines[method, route, status] = lines
        return lines


class _Lines:
    """Makes lines of one method, route and status. What is the same on all is put together once: up to the path, the
    ids, the path again, the end.
    """

    def __init__(self, method: str, route: str, status: int, moment: Callable[[float], str]) -> None:
        verb = quoted(method)
        self._moment = moment
        self._begins = f'", "level": "info", "logger": "seawall.access", "message": "{verb[1:-1]} '
        self._goes_on = f' {status}", "request_id": "'
        self._then = f'", "method": {verb}, "route": {quoted(route)}, "path": "'
        self._ends = f'", "status": {status}, "duration_ms": '

    def of(self, requests: Iterable[ServedLike]) -> list[bytes]:
        """A line for each."""
        moment, begins, goes_on, then, ends = self._moment, self._begins, self._goes_on, self._then, self._ends
        lines = []
        known, at = -1, ""  # a millisecond, and how it is written
        for served in requests:
            try:
                if (millisecond := int(served.at * 1000)) != known:
                    known, at = millisecond, moment(served.at)
                path, work = quoted(served.path)[1:-1], served.correlation
                took = _decimal(int(served.seconds * 100_000 + 0.5))
                text = (
                    f'{{"time": "{at}{begins}{path}{goes_on}{work.request_id}", "trace_id": '
                    f'"{work.trace_id}", "span_id": "{work.span_id}{then}{path}{ends}{took}, "size": '
                    f'{served.size}, "client": {quoted(served.client)}}}\n'
                )
                lines.append(text.encode())
            except Exception:  # one that a server told nonsense of costs no other its line
                _logger.exception("the line of a request could not be made")
        return lines


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


_batches: weakref.WeakSet[RequestBatch] = weakref.WeakSet()


def _forked() -> None:
    for batch in list(_batches):
        batch.forked()


os.register_at_fork(after_in_child=_forked)
