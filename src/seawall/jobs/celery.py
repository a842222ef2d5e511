"""Celery's tasks as jobs of the service.

    jobs = CeleryJobs(app)           # or `Seawall.celery`, which makes the app as well

What a worker runs has the ids of the request that asked for it, is told of by events, and has its time limit for a
deadline. Nothing is patched: all of it hangs on Celery's own signals.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextvars import Token
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Protocol

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, MissingExtraError, OptionError, Status, deadline
from seawall.jobs.errors import QueueUnavailableError
from seawall.jobs.events import JobEnded, JobEnqueued, JobStarted, JobState

__all__ = ["BoundedCelery", "BrokerUnavailableError", "Celery", "CeleryJobs", "Surroundings", "application"]

try:
    from celery import Celery, signals
    from celery.backends.redis import RedisBackend
    from kombu.exceptions import OperationalError
except ImportError:
    raise MissingExtraError("Seawall.celery", "celery", "celery") from None

PUBLISHED = "seawall-published"
"""The header that says when a job was handed to the queue, in seconds of the epoch."""
_STATES = {
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
    "RETRY": JobState.RETRIED,
    "IGNORED": JobState.IGNORED,
    "REJECTED": JobState.REJECTED,
}
_TELL_ARGUMENTS = ("celery.app.trace", "celery.worker.strategy", "celery.worker.request")
_ANSWER_WITHIN = 1.0
"""Seconds for the first worker that answers."""


class BrokerUnavailableError(QueueUnavailableError, OperationalError):
    """The broker of Celery doesn't take the job; also the error that Celery itself would raise."""


class BoundedCelery(Celery):  # type: ignore[misc]  # it comes without types
    """A Celery app that doesn't wait for ever for a broker that hangs, and says what that comes to for a request."""

    def _get_backend(self) -> Any:
        """Redis as the result backend, but without a subscription for each job that is handed in.

        Where Redis hangs it is tried for minutes. Nobody waits for the result yet; `get` subscribes, then looks.
        """
        backend = super()._get_backend()
        if isinstance(backend, RedisBackend):
            backend.on_task_call = _nobody_waits
        return backend

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Hand in a job. Raises `BrokerUnavailableError` within about 10 s."""
        try:
            return super().send_task(name, *args, **options)
        except OperationalError as error:
            broker = self.connection_for_write().as_uri()  # without its password
            raise BrokerUnavailableError(name, broker, type(error.__cause__ or error).__name__) from error


def _nobody_waits(producer: Any, task_id: str) -> None:
    """No subscription."""


def application(name: str, *, broker: str | None, backend: str | None) -> Celery:
    """A Celery app. Raises `OptionError` without a broker; Celery's own default would be one on this machine."""
    if broker is None:
        raise OptionError("Seawall.celery", "broker", None, "a URL; set CELERY_BROKER_URL, or REDIS_URL")
    app = BoundedCelery(name, broker=broker, backend=backend)
    app.conf.update(
        broker_connection_retry_on_startup=True,  # a worker waits for its broker
        redis_socket_connect_timeout=2.0,
        redis_socket_timeout=3.0,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 0.2},
    )
    if broker.startswith(("redis", "rediss", "unix", "sentinel")):
        app.conf.broker_transport_options = {"socket_connect_timeout": 2.0, "socket_timeout": 3.0}
    return app


class Surroundings(Protocol):
    """What jobs run in: the service's own ids, logs and traces."""

    def carried(self) -> Mapping[str, str]:
        """The headers of a job that is enqueued now."""
        ...

    def began(self, job: str, job_id: str, headers: Mapping[str, Any]) -> Callable[[JobEnded], None]:
        """A job begins in this context, with the headers it came with. Returns what is called when it has ended."""
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

    The app keeps it. A task that is run eagerly is part of whoever calls it, and not told of. What is killed, by the
    system or by its hard time limit, is told of by Celery alone: its process isn't there any more.
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
        if not isinstance(app, Celery):
            raise OptionError("CeleryJobs", "app", app, "a Celery app")
        self.app = app
        self.clock = clock
        self.events = events if events is not None else Events()
        self._surroundings: Surroundings = surroundings or Nowhere()
        self._runs: dict[tuple[int, str], _Run] = {}
        if own_logs:
            signals.setup_logging.connect(self._logs_are_set_up)
            for name in _TELL_ARGUMENTS:
                logging.getLogger(name).addFilter(_without_arguments)
        signals.before_task_publish.connect(self._published)
        signals.worker_process_init.connect(self._process_began)
        signals.task_prerun.connect(self._began)
        signals.task_failure.connect(self._failed)
        signals.task_retry.connect(self._retried)
        signals.task_postrun.connect(self._ended)
        signals.worker_process_shutdown.connect(self._process_ends)
        signals.worker_shutdown.connect(self._process_ends)
        app.__dict__["seawall"] = self  # signals keep nobody alive

    # Where jobs are enqueued.

    def _published(self, sender: str, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is None or sender not in self.app.tasks:
            return
        headers |= self._surroundings.carried()
        headers[PUBLISHED] = f"{self.clock.now().timestamp():.3f}"
        if self.events.listeners:
            self.events.emit(JobEnqueued(job=sender, job_id=str(headers.get("id", ""))))

    # Where they run.

    def _logs_are_set_up(self, **_: Any) -> None:
        """That somebody hears this signal is what keeps Celery from doing it."""

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

    def _ours(self, task: Any) -> bool:
        return bool(task.app is self.app)

    # How they are.

    def check(self) -> Health:
        """Degraded where no worker answers within a second. Raises where the broker doesn't; blocks, for a thread."""
        answers = self.app.control.ping(timeout=_ANSWER_WITHIN, limit=1)
        if not answers:
            return Health(status=Status.DEGRADED, message="no worker answers")
        return Health(status=Status.HEALTHY, message=f"{next(iter(answers[0]))} answers")


def _without_arguments(record: logging.LogRecord) -> bool:
    """Keeps from the log what jobs are called with: a record's `data` has it, and little that isn't in its message."""
    record.__dict__.pop("data", None)
    return True


def _waited(request: Any, now: float) -> float | None:
    """Seconds since a job was enqueued, or since it was due."""
    try:
        since = float(vars(request)[PUBLISHED])
        if request.eta:
            since = max(since, datetime.fromisoformat(request.eta).timestamp())
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
