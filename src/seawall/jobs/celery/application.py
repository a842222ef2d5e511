"""A Celery app that doesn't wait for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from celery import Celery, signals
from celery.backends.redis import RedisBackend
from kombu.exceptions import OperationalError

from seawall.core import OptionError
from seawall.jobs.errors import QueueUnavailableError

_PRODUCER = {"socket_connect_timeout": 2.0, "socket_timeout": 3.0}
"""Of Redis, in seconds, where jobs are handed in: somebody waits for that."""
_CONNECTIONS = 64
"""As many as threads that hand in jobs at once, or they would wait for each other where the broker hangs."""
Guard = Callable[[], AbstractContextManager[object]]


class BrokerUnavailableError(QueueUnavailableError, OperationalError):
    """The broker of Celery doesn't take the job; also the error that Celery itself would raise."""


class BoundedCelery(Celery):  # type: ignore[misc]  # it comes without types
    """A Celery app that gives up on a broker that hangs, and says what that comes to for a request.

    In a worker it waits as Celery does: there a connection that is given up costs what was reserved on it.
    """

    guard: Guard = nullcontext
    """A block around the handing in of a job, such as a circuit breaker's."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Hand in a job. Raises `BrokerUnavailableError` within about 10 s."""
        with self.guard():
            try:
                return super().send_task(name, *args, **options)
            except OperationalError as error:
                broker = self.connection_for_write().as_uri()  # without its password
                raise BrokerUnavailableError(name, broker, type(error.__cause__ or error).__name__) from error

    def is_a_worker(self, sender: Any, **_: Any) -> None:
        """A worker is made; if it is of this app, wait as it would."""
        if sender.app is self:
            self.conf.broker_transport_options = {}
            self.conf.broker_pool_limit = 10
            self.guard = nullcontext

    def _get_backend(self) -> Any:
        """Redis as the result backend, but without a subscription for each job that is handed in.

        Where Redis hangs it is tried for minutes. Nobody waits for the result yet; `get` subscribes, then looks.
        """
        backend = super()._get_backend()
        if isinstance(backend, RedisBackend):
            backend.on_task_call = _nobody_waits
        return backend


def _nobody_waits(producer: Any, task_id: str) -> None:
    """No subscription."""


def application(name: str, *, broker: str | None, backend: str | None, guard: Guard = nullcontext) -> BoundedCelery:
    """A Celery app. Raises `OptionError` without a broker; Celery's own default would be one on this machine."""
    if broker is None:
        raise OptionError("Seawall.celery", "broker", None, "a URL; set CELERY_BROKER_URL, or REDIS_URL")
    app = BoundedCelery(name, broker=broker, backend=backend)
    app.guard = guard
    app.conf.update(
        broker_connection_retry_on_startup=True,  # a worker waits for its broker
        broker_pool_limit=_CONNECTIONS,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 0.2},
    )
    if broker.startswith(("redis", "rediss", "unix", "sentinel")):
        app.conf.broker_transport_options = dict(_PRODUCER)
    signals.worker_init.connect(app.is_a_worker)
    return app
