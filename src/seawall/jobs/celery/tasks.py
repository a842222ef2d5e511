"""Celery's tasks, where they are handed in and where they run.

All of it hangs on Celery's own signals, and on the app's `send_task`: the signal of publishing doesn't say which app
it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

from celery import Celery, signals

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, OptionError, Status, deadline
from seawall.jobs.celery.logs import withhold
from seawall.jobs.events import JobEnded, JobEnqueued, JobStarted, JobState

PUBLISHED = "seawall-published"
"""The header that says when a job was handed to the queue, in seconds of the epoch."""
_STATES = {
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
    "RETRY": JobState.RETRIED,
    "IGNORED": JobState.IGNORED,
    "REJECTED": JobState.REJECTED,
}
_sending: ContextVar[Celery | None] = ContextVar("seawall_celery_sending", default=None)
_ANSWER_WITHIN = 1.0
"""Seconds for the first worker that answers."""


class Surroundings(Protocol):
    """What jobs run in: the service's own ids, logs and traces."""

    def carried(self) -> Mapping[str, str]:
        """The headers of a job that is enqueued now."""
        ...

    def began(self, job: str, job_id: str, headers: Mapping[str, Any]) -> Callable[[JobEnded], None]:
        """A job begins in this context, with the headers it came with. Returns what is called when it has ended."""
        ...

    def worker_begins(self) -> None:
        """A worker is about to start those of its processes that run jobs."""
        ...

    def worker_is_ready(self) -> None:
        """They are started."""
        ...

    def process_began(self) -> None:
        """This process runs jobs from now on. Called any number of times."""
        ...

    def process_ends(self) -> None:
        """It does so no more."""
        ...


class Nowhere:
    """Surroundings of jobs outside of a service."""

    def carried(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def began(self, job: str, job_id: str, headers: Mapping[str, Any]) -> Callable[[JobEnded], None]:
        """Nothing."""
        return lambda ended: None

    def worker_begins(self) -> None:
        """Nothing."""

    def worker_is_ready(self) -> None:
        """Nothing."""

    def process_began(self) -> None:
        """Nothing."""

    def process_ends(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class _Run:
    """A job that runs."""

    started: JobStarted
    at: float
    began: float
    before: Token[float]
    left: Callable[[JobEnded], None]
    error: BaseException | None = None


class CeleryJobs:
    """Knows the tasks of a Celery app: in the processes that enqueue them, and in the workers that run them.

    own_logs: this process's logs are configured already, and Celery is to leave them as they are.

    The app keeps it. A task that is run eagerly is part of whoever calls it, and not told of. What the system kills is
    told of by Celery alone: its process isn't there any more.
    """

    def __init__(
        self,
        app: Celery,
        *,
        surroundings: Surroundings | None = None,
        own_logs: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
    ) -> None:
        # What `celery.current_app` and the like are is a stand-in.
        app = getattr(app, "_get_current_object", lambda: app)()
        if not isinstance(app, Celery):
            raise OptionError("CeleryJobs", "app", app, "a Celery app")
        self.app = app
        self.clock = clock
        self.events = events if events is not None else Events()
        self._surroundings: Surroundings = surroundings or Nowhere()
        self._runs: dict[tuple[int, str], _Run] = {}
        if own_logs:
            signals.setup_logging.connect(self._logs_are_set_up)
            withhold()
        signals.before_task_publish.connect(self._publishes)
        signals.after_task_publish.connect(self._published)
        signals.worker_init.connect(self._worker_begins)
        signals.worker_ready.connect(self._worker_is_ready)
        signals.worker_process_init.connect(self._process_began)
        signals.task_prerun.connect(self._began)
        signals.task_failure.connect(self._failed)
        signals.task_retry.connect(self._retried)
        signals.task_postrun.connect(self._ended)
        signals.worker_process_shutdown.connect(self._process_ends)
        signals.worker_shutdown.connect(self._process_ends)
        self._sends = app.send_task
        app.send_task = self._send  # which also keeps this alive; signals don't

    # Where jobs are enqueued.

    def _send(self, *args: Any, **options: Any) -> Any:
        token = _sending.set(self.app)
        try:
            return self._sends(*args, **options)
        finally:
            _sending.reset(token)

    def _publishes(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is not None and _sending.get() is self.app:
            headers |= self._surroundings.carried()
            headers[PUBLISHED] = f"{self.clock.now().timestamp():.3f}"

    def _published(self, sender: str, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is not None and _sending.get() is self.app and self.events.listeners:
            delayed = headers.get("eta") is not None
            self.events.emit(JobEnqueued(job=sender, job_id=str(headers.get("id", "")), delayed=delayed))

    # Where they run.

    def _logs_are_set_up(self, **_: Any) -> None:
        """That somebody hears this signal is what keeps Celery from doing it."""

    def _worker_begins(self, sender: Any, **_: Any) -> None:
        if self._ours(sender):
            self._surroundings.worker_begins()

    def _worker_is_ready(self, sender: Any, **_: Any) -> None:
        if self._ours(sender):
            self._surroundings.worker_is_ready()

    def _process_began(self, **_: Any) -> None:
        self._surroundings.process_began()

    def _process_ends(self, **_: Any) -> None:
        self._surroundings.process_ends()

    def _began(self, sender: Any, task_id: str, **_: Any) -> None:
        request = sender.request
        if not self._ours(sender) or request.is_eager:
            return
        # Pools of threads and greenlets have no signal of their own.
        self._surroundings.process_began()
        now = self.clock.now().timestamp()
        started = JobStarted(
            job=sender.name, job_id=task_id, attempt=(request.retries or 0) + 1, waited=_waited(request, now)
        )
        left = self._surroundings.began(sender.name, task_id, vars(request))
        limit = _time_limit(sender, request)
        at = deadline.NEVER if limit is None else self.clock.monotonic() + limit
        token = deadline.current.set(at)
        self._runs[threading.get_ident(), task_id] = _Run(started, now, perf_counter(), token, left)
        if self.events.listeners:
            self.events.emit(started)

    def _failed(self, sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        run = self._runs.get((threading.get_ident(), task_id))
        if run is not None:
            run.error = exception

    def _retried(self, sender: Any, request: Any, reason: Any, **_: Any) -> None:
        run = self._runs.get((threading.get_ident(), request.id))
        if run is not None:
            # What it failed of; a job may also ask for another run without any error.
            run.error = getattr(reason, "exc", None) or reason

    def _ended(self, sender: Any, task_id: str, state: str | None = None, **_: Any) -> None:
        run = self._runs.pop((threading.get_ident(), task_id), None)
        if run is None:
            return
        started = run.started
        ended = JobEnded(
            job=started.job,
            job_id=task_id,
            attempt=started.attempt,
            waited=started.waited,
            state=_STATES.get(state or "", JobState.STOPPED),
            started=run.at,
            seconds=perf_counter() - run.began,
            error=run.error if isinstance(run.error, BaseException) else None,
        )
        try:
            if self.events.listeners:
                self.events.emit(ended)
        finally:
            deadline.current.reset(run.before)
            run.left(ended)

    def _ours(self, sender: Any) -> bool:
        return bool(sender.app is self.app)

    # How they are.

    def check(self) -> Health:
        """Degraded where no worker answers within a second. Raises where the broker doesn't; blocks, for a thread."""
        answers = self.app.control.ping(timeout=_ANSWER_WITHIN, limit=1)
        if not answers:
            return Health(status=Status.DEGRADED, message="no worker answers")
        return Health(status=Status.HEALTHY, message=f"{next(iter(answers[0]))} answers")


def _waited(request: Any, now: float) -> float | None:
    """Seconds since a job was enqueued, or since it was due."""
    try:
        since = float(vars(request)[PUBLISHED])
        if request.eta:
            due = datetime.fromisoformat(request.eta)
            since = max(since, (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp())
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, now - since)


def _time_limit(task: Any, request: Any) -> float | None:
    """Seconds in which Celery has a job end by itself; else those after which it is killed."""
    hard, soft = request.timelimit or (None, None)
    conf = task.app.conf
    limit: float | None = (
        soft or task.soft_time_limit or conf.task_soft_time_limit or hard or task.time_limit or conf.task_time_limit
    )
    return limit
