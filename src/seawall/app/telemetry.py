"""Metrics, logs and traces of one service, made from its settings."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.app.tracing import Tracing
from seawall.core import Clock, Events
from seawall.settings import Settings
from seawall.telemetry import catalogue
from seawall.telemetry.exposition import OPEN_METRICS, TEXT, expose, wants_open_metrics
from seawall.telemetry.levels import Levels
from seawall.telemetry.logs import Logs, moment
from seawall.telemetry.metrics import Metrics, memory
from seawall.telemetry.process import ProcessMetrics
from seawall.telemetry.requests import AccessLog, LoggedAccess, RequestBatch, RequestMetrics, Ring
from seawall.telemetry.shared import SharedFolder

if TYPE_CHECKING:
    from seawall.profiling import Profiler
    from seawall.resilience import AdaptiveLimit
    from seawall.telemetry.endpoint import MetricsServer

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
PAGE_SECURITY_HEADERS = ((b"referrer-policy", b"strict-origin-when-cross-origin"),)
"""What says how a page asks for others, and only there something to a browser."""
_LOOK_EVERY = 1.0


class Telemetry:
    """Counts and writes down what one service does; use it with `with` while the service runs."""

    def __init__(self, service: str, settings: Settings, metrics: Metrics, logs: Logs | None, tracing: Tracing) -> None:
        self.tracing = tracing
        self.service = service
        self.settings = settings
        self.metrics = metrics
        self.levels = Levels()
        self.ring = Ring(settings.recent_requests)
        self.logs = logs
        self._process = ProcessMetrics(metrics)
        self._shared: SharedFolder | None = None
        self._family: Path | None = None
        """Where a process and those that it forks share their metrics."""
        self._gathering = 0
        """That process."""
        self._made = os.getpid()
        self._endpoint: MetricsServer | None = None
        self._look_at = 0.0
        self._stack = ExitStack()
        self._entered = 0
        """The process in which it is entered."""
        self._batches: list[RequestBatch] = []
        self._recorders: tuple[Any, ...] = ()
        self._sockets: tuple[Any, ...] = ()
        metrics.before_scrape(self._tell)  # first: it may write lines that are dropped
        dropped = metrics.declare(catalogue.LOG_LINES_DROPPED).labels()
        if logs is not None:
            lines = metrics.declare(catalogue.LOG_LINES)
            logs.sink.before_flush(self._tell)
            logs.count = lambda level: lines.labels(level).inc()
            metrics.before_scrape(lambda: dropped.mirror(logs.sink.dropped))
            _configure_structlog()

    def start(self) -> None:
        """Enter it in a process that only runs jobs. Does nothing in one where it is entered."""
        if self._entered != os.getpid():
            if self._gathering != os.getpid():
                if self._endpoint is not None:
                    self._endpoint.close()  # the parent serves
                self._endpoint = self._shared = None
            self.__enter__()

    def stop(self) -> None:
        """Leave it, where it is entered in this process."""
        if self._entered == os.getpid():
            self.__exit__()

    def gather(self) -> None:
        """Count in a folder that this process shares with those that it forks from now on. Raises `OptionError`."""
        family = self._private(os.getpid())
        self._shared = SharedFolder(family)
        self.metrics.move(self._shared)
        self._family, self._gathering = family, os.getpid()

    def serve(self, port: int, look: Callable[[], object]) -> None:
        """Serve what was gathered on a port of its own, until `end_gathering`. Raises `OSError`.

        look: called before each answer. What the parts tell then is left out: they aren't started in a process that
        only has others work.
        """
        # Longer to import than all of this module; only workers need it.
        from seawall.telemetry.endpoint import MetricsServer  # noqa: PLC0415

        def expose_gathered(accept: str) -> tuple[bytes, str]:
            self._process.refresh()
            look()
            return self._told(accept)

        if self._gathering == os.getpid():
            self._endpoint = MetricsServer(expose_gathered, port)

    def end_gathering(self) -> None:
        """Serve and share no more."""
        if self._gathering != os.getpid():
            return
        if self._endpoint is not None:
            self._endpoint.close()
        shared, self._shared = self._shared, None
        self._endpoint = self._family = None
        self._gathering = 0
        if shared is not None:
            self.metrics.move(memory)
            shared.close(remove=True)

    def look(self) -> None:
        """Measure this process, at most once a second: for one that isn't asked itself."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self._process.measure()

    def __enter__(self) -> Telemetry:
        if self.logs is not None:
            _configure_structlog()
        with ExitStack() as stack:
            if self.logs is not None:
                stack.callback(self.logs.sink.flush)
            stack.callback(self.levels.close)
            stack.enter_context(self.tracing)
            folder = self._folder()
            if folder is not None and self._shared is None:
                self._share(folder, stack)
            stack.enter_context(self._process)
            stack.callback(self._tell)  # before anything of what it tells goes
            self._stack = stack.pop_all()
        self._entered = os.getpid()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered = 0
        self._stack.close()

    def _tell(self) -> None:
        for batch in self._batches:
            batch.flush()

    def _share(self, folder: Path, stack: ExitStack) -> None:
        """Count in `folder` from now on, until `stack` is closed."""
        shared = self._shared = SharedFolder(folder)
        # What was counted before the fork is the parent's to tell.
        self.metrics.move(shared, anew=os.getpid() != self._made)

        def end() -> None:
            self._shared = None
            self.metrics.move(memory)
            # Nobody looks at a folder of our own making when its last process has ended.
            shared.close(remove=folder != self.settings.metrics_folder)

        stack.callback(end)

    def _folder(self) -> Path | None:
        """Where processes share their metrics: as configured, or for the workers of one uvicorn by themselves."""
        if self._family is not None:
            return self._family
        if self.settings.metrics_folder is not None:
            return self.settings.metrics_folder
        return None if multiprocessing.parent_process() is None else self._private(os.getppid())

    def _private(self, parent: int) -> Path:
        return Path(tempfile.gettempdir()) / f"seawall-{os.getuid()}" / f"{self.service}-{parent}"

    def look_at_requests(self, quiet: frozenset[str], profiler: Profiler) -> None:
        """Make what is told of each request. quiet: paths not worth a line in the log."""
        counted = RequestMetrics(self.metrics)
        takers = [counted.served]
        if self.settings.enable_profiling:
            takers.append(profiler.served)
        recorders: list[Any] = []
        if self.logs is not None and self.logs.json_format:
            takers.append(AccessLog(self.logs.sink.write_all, quiet=quiet, moment=moment).served)
        else:
            recorders.append(LoggedAccess(quiet=quiet))
        batch = RequestBatch(counted.active, self.ring, takers)
        self._batches.append(batch)
        profiler.before_statistics(batch.flush)
        self._recorders, self._sockets = (batch, *recorders), (counted,)

    def layer(self, events: Events, admission: AdaptiveLimit | None, clock: Clock) -> Any:
        """What the middleware does."""
        # The web extra is optional.
        from seawall.web.client_address import client_behind  # noqa: PLC0415
        from seawall.web.install import PROBES  # noqa: PLC0415
        from seawall.web.layer import Layer  # noqa: PLC0415
        from seawall.web.problems import Problems  # noqa: PLC0415

        settings = self.settings
        return Layer(
            timeout=settings.request_timeout,
            body_limit=settings.body_limit or None,
            headers=SECURITY_HEADERS,
            page_headers=PAGE_SECURITY_HEADERS,
            client=client_behind(settings.trusted_proxies),
            recorders=self._recorders,
            sockets=self._sockets,
            admission=admission,
            exempt=PROBES,
            tracer=self.tracing if self.tracing.records else None,
            problems=Problems(development=settings.development, events=events),
            clock=clock,
        )

    def expose(self, accept: str) -> tuple[bytes, str]:
        """All metrics, and their content type, for who sends this `Accept` header."""
        self.metrics.refresh()
        return self._told(accept)

    def _told(self, accept: str) -> tuple[bytes, str]:
        open_metrics = wants_open_metrics(accept)
        totals = None if self._shared is None else self._shared.totals()
        body = expose(self.metrics, open_metrics=open_metrics, totals=totals)
        return body, OPEN_METRICS if open_metrics else TEXT


def _configure_structlog() -> None:
    # Importing it takes longer than all of Seawall: only where the app does so anyway, by now or by the start.
    if "structlog" in sys.modules:
        from seawall.telemetry.structlog import configure  # noqa: PLC0415

        configure()
