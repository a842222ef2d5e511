"""What jobs run in: the ids of the request that asked for them, the service's logs, metrics and traces."""

from __future__ import annotations

import logging
import os
import random
import re
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from seawall.app.telemetry import Telemetry
from seawall.app.tracing import Tracing
from seawall.core import OptionError, correlation
from seawall.core.correlation import Correlation
from seawall.telemetry.tracing import recording
from seawall.web.trace_context import parent_of

if TYPE_CHECKING:
    from seawall.jobs import JobEnded

_logger = logging.getLogger("seawall")
_REQUEST_ID = "x-request-id"
_ID = re.compile(r"[\x21-\x7e]{1,128}")


class JobSurroundings:
    """See `seawall.jobs.celery.Surroundings`."""

    def __init__(
        self,
        telemetry: Telemetry,
        tracing: Tracing,
        metrics_port: int | None = None,
        look_at_machine: Callable[[], object] = lambda: None,
    ) -> None:
        self._telemetry = telemetry
        self._tracing = tracing
        self._metrics_port = metrics_port
        self._look_at_machine = look_at_machine
        self._process = 0
        self._starting = threading.Lock()

    def carried(self) -> Mapping[str, str]:
        """The ids of the request, or the job, that enqueues a job."""
        work = correlation.current.get()
        if work is None:
            return {}
        headers = {"traceparent": work.traceparent(), _REQUEST_ID: work.request_id}
        return headers | {"tracestate": work.trace_state} if work.trace_state else headers

    def began(self, job: str, job_id: str, headers: Mapping[str, Any]) -> Callable[[JobEnded], None]:
        """Be a job of the trace that asked for it; without one, of a trace of its own."""
        work, parent = self._identify(job_id, headers)
        work.bind(job=job, job_id=job_id)
        token = correlation.current.set(work)
        recorded = self._tracing.job_began(work, parent) if work.sampled and self._tracing.records else None

        def left(ended: JobEnded) -> None:
            self._telemetry.look()
            if recorded is not None:
                recorded.ended(ended)
                recording.set(None)
            correlation.current.reset(token)

        return left

    def _identify(self, job_id: str, headers: Mapping[str, Any]) -> tuple[Correlation, str | None]:
        given = [(name, headers.get(name)) for name in ("traceparent", "tracestate")]
        parent = parent_of([(name.encode(), text.encode()) for name, text in given if isinstance(text, str)])
        request_id = headers.get(_REQUEST_ID)
        if not isinstance(request_id, str) or _ID.fullmatch(request_id) is None:
            request_id = job_id
        if parent is None:
            trace_id = f"{random.getrandbits(128) or 1:032x}"
            return Correlation(request_id, trace_id, trace_id[:16], sampled=self._tracing.sample()), None
        span_id = f"{random.getrandbits(64) or 1:016x}"
        return Correlation(
            request_id, parent.trace_id, span_id, parent.sampled, parent.drawn, parent.state
        ), parent.span_id

    def worker_begins(self) -> None:
        """Have what its processes count gathered, where that is served."""
        if self._metrics_port is not None:
            try:
                self._telemetry.gather()
            except OptionError as error:
                self._tell_of_nothing(error)

    def worker_is_ready(self) -> None:
        """Serve their metrics, where that is wanted."""
        if self._metrics_port is not None:
            try:
                self._telemetry.serve(self._metrics_port, self._look_at_machine)
            except OSError as error:
                self._tell_of_nothing(error)

    def _tell_of_nothing(self, error: Exception) -> None:
        # Jobs are worth more than what is told of them.
        _logger.error("SEAWALL_WORKER_METRICS_PORT: no metrics on port %d: %s", self._metrics_port, error)

    def process_began(self) -> None:
        """Count, write and trace what this process does, if that isn't done already."""
        if self._process == os.getpid():
            return
        with self._starting:
            if self._process != os.getpid():
                try:
                    self._telemetry.start()
                except Exception:
                    # Jobs are worth more than what is told of them.
                    _logger.exception("what this process does can't be counted and traced")
                self._process = os.getpid()

    def process_ends(self) -> None:
        """Write and send what is left."""
        if self._process == os.getpid():
            self._process = 0
            self._telemetry.stop()
        self._telemetry.end_gathering()
