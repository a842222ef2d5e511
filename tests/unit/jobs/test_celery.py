"""Celery apps that are made and installed: what is refused, what eager tasks are, and what is told in one process."""

import itertools
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject
from celery.local import Proxy
from kombu.exceptions import EncodeError

from seawall import Seawall
from seawall.core import Events, OptionError, correlation, deadline
from seawall.core.correlation import Correlation
from seawall.jobs import JobEnded, JobEnqueued, JobStarted
from seawall.jobs.celery import CeleryJobs, tasks
from seawall.jobs.celery.logs import withhold
from seawall.settings import Settings, SettingsError
from seawall.testing import EventRecorder

MEMORY = "memory://"
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _no_logs_of_celery() -> Iterator[None]:
    """A worker without logs of ours would take the root logger."""

    def taken(**_: object) -> None:
        """As soon as somebody hears it, Celery leaves logs alone."""

    signals.setup_logging.connect(taken)
    yield
    signals.setup_logging.disconnect(taken)


@dataclass(frozen=True)
class Worker:
    """What Celery sends with its signal."""

    app: Celery


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not found():
        assert time.monotonic() < end, "it didn't happen"
        time.sleep(0.01)


def made(**options: object) -> tuple[Celery, EventRecorder]:
    # Of a queue and with tasks of its own: what is in memory, all apps of a process share.
    name = f"queue-{next(_numbers)}"
    app = Celery(name, broker=MEMORY, backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = name
    app.conf.update(options)
    events = Events()
    CeleryJobs(app, events=events)
    return app, EventRecorder(events)


def test_without_a_broker_it_says_what_to_set():
    with pytest.raises(OptionError, match="CELERY_BROKER_URL, or REDIS_URL"):
        Seawall(service="test", settings=Settings()).celery  # noqa: B018


@pytest.mark.parametrize(
    ("settings", "broker", "backend"),
    [
        ({"CELERY_BROKER_URL": "amqp://host//"}, "amqp://host//", None),
        ({"REDIS_URL": "redis://host/1"}, "redis://host/1", None),
        (
            {"REDIS_URL": "redis://a/1", "CELERY_BROKER_URL": "redis://b/2", "CELERY_RESULT_BACKEND": "rpc://"},
            "redis://b/2",
            "rpc://",
        ),
    ],
)
def test_the_environment_says_where_jobs_go(settings, broker, backend):
    app = Seawall(service="test", settings=Settings.from_env(settings)).celery
    assert (app.conf.broker_url, app.conf.result_backend, app.main) == (broker, backend, "test")


def test_urls_are_secret_and_checked():
    settings = Settings.from_env({"CELERY_BROKER_URL": "redis://:sesame@host/1", "CELERY_RESULT_BACKEND": "rpc://"})
    assert "sesame" not in repr(settings)
    assert settings.shown()["CELERY_BROKER_URL"] == "set"
    with pytest.raises(SettingsError, match="CELERY_BROKER_URL: its value is not allowed; allowed: a URL such as"):
        Settings.from_env({"CELERY_BROKER_URL": "the broker"})


def test_a_second_app_and_what_is_none_are_refused():
    sea = Seawall(service="test", settings=Settings(celery_broker_url=MEMORY))
    assert sea.celery is sea.celery
    with pytest.raises(OptionError, match="one Celery app of a service"):
        sea.install_celery(Celery("another", set_as_current=False))
    with pytest.raises(OptionError, match="a Celery app"):
        CeleryJobs("celery")


def test_an_eager_task_is_part_of_whoever_calls_it():
    app, seen = made(task_always_eager=True)
    work = Correlation("request", "1" * 32, "2" * 16)

    @app.task(shared=False)
    def which():
        return correlation.current.get(), deadline.remaining()

    token = correlation.current.set(work)
    try:
        with deadline.within(5):
            found, remaining = which.delay().get()
    finally:
        correlation.current.reset(token)
    assert found is work
    assert 4 < remaining <= 5
    assert seen.events == []


def test_tasks_of_another_app_are_not_told_of_although_every_app_knows_them():
    _, seen = made()
    other, others_seen = made()

    @other.task
    def shared():
        return 1

    with start_worker(other, perform_ping_check=False, pool="solo"):
        shared.delay()
        until(lambda: len(others_seen.events) == 3)
    assert seen.events == []
    # A worker may begin before whoever enqueued the job has told of it.
    assert {type(event) for event in others_seen.events} == {JobEnqueued, JobStarted, JobEnded}


def test_a_job_handed_in_by_its_name_has_the_ids_too():
    sent = []
    work = Correlation("request", "1" * 32, "2" * 16)

    def publishing(sender, headers, **_):
        sent.append(headers)

    sea = Seawall(service="test", settings=Settings(celery_broker_url=MEMORY))
    app = sea.celery
    app.conf.task_default_queue = f"queue-{next(_numbers)}"
    seen = EventRecorder(sea.events)
    signals.before_task_publish.connect(publishing)
    token = correlation.current.set(work)
    try:
        app.send_task("known.elsewhere")
        app.signature("also.known.elsewhere").delay()
    finally:
        correlation.current.reset(token)
        signals.before_task_publish.disconnect(publishing)
    assert [headers["x-request-id"] for headers in sent] == ["request"] * 2
    assert [headers["traceparent"] for headers in sent] == [work.traceparent()] * 2
    assert [event.job for event in seen.of(JobEnqueued)] == ["known.elsewhere", "also.known.elsewhere"]


def test_a_job_that_is_to_run_later_is_told_of_as_such():
    app, seen = made()
    app.send_task("now")
    app.send_task("later", countdown=60)
    assert [(event.job, event.delayed) for event in seen.of(JobEnqueued)] == [("now", False), ("later", True)]


def test_a_job_that_the_queue_did_not_take_was_not_enqueued(monkeypatch):
    app, seen = made()

    def refused(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kombu.transport.virtual.Channel.basic_publish", refused)
    with pytest.raises(OSError, match="No space left"):
        app.send_task("add", retry=False)
    assert seen.of(JobEnqueued) == []


def test_an_app_given_by_its_stand_in_is_the_app():
    app = Celery("behind", broker=MEMORY, set_as_current=False)
    assert CeleryJobs(Proxy(lambda: app)).app is app


def test_a_worker_waits_as_celery_does():
    app = Seawall(service="test", settings=Settings(celery_broker_url="redis://127.0.0.1:1/0")).celery
    assert app.conf.broker_transport_options["socket_timeout"] == 3.0
    signals.worker_init.send(sender=Worker(Celery("another", set_as_current=False)))
    assert app.conf.broker_transport_options["socket_timeout"] == 3.0
    signals.worker_init.send(sender=Worker(app))
    assert app.conf.broker_transport_options == {}


def test_arguments_that_cannot_be_sent_open_no_breaker():
    sea = Seawall(service="test", settings=Settings(celery_broker_url=MEMORY))
    app = sea.celery
    for _ in range(5):
        with pytest.raises(EncodeError):
            app.send_task("job", args=[object()])
    assert sea.breakers["celery"].state == "closed"


def test_a_job_runs_where_nothing_can_be_counted(tmp_path, caplog):
    (tmp_path / "file").touch()
    settings = Settings(celery_broker_url=MEMORY, metrics_folder=tmp_path / "file" / "metrics")
    sea = Seawall(service="test", settings=settings)
    seen = EventRecorder(sea.events)
    app = sea.celery
    app.conf.task_default_queue = f"queue-{next(_numbers)}"

    @app.task(shared=False)
    def job():
        return None

    with start_worker(app, perform_ping_check=False, pool="solo"):
        for _ in range(2):
            job.delay()
        until(lambda: len(seen.of(JobEnded)) == 2)
    assert caplog.text.count("can't be counted and traced") == 1


@pytest.mark.parametrize(
    ("eta", "waited"),
    [
        (None, 100.0),
        ("2026-01-01T00:00:30+00:00", 70.0),
        ("2026-01-01T00:00:30", 70.0),
        ("2026-01-01T00:01:40+00:00", 0.0),
        ("no time", None),
    ],
)
def test_a_job_waits_from_when_it_is_due(eta, waited):
    began = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    request = SimpleNamespace(eta=eta, **{tasks.PUBLISHED: str(began)})
    assert tasks._waited(request, began + 100) == waited


@pytest.mark.parametrize(
    ("logger", "level", "record", "line"),
    [
        (
            "celery.worker.consumer.consumer", "ERROR",
            ("\nUnknown %s.\nThe body is: %s\n", "job", "an-argument"), "Unknown job.",
        ),
        ("celery.worker.consumer.consumer", "WARNING", ("lost %s", "it"), "lost it"),
        ("celery.pool", "DEBUG", ("TaskPool: Apply %s", "an-argument"), None),
        ("celery.pool", "INFO", ("%s", "grown"), "grown"),
    ],
)  # fmt: skip
def test_what_celery_says_of_messages_has_no_arguments(caplog, logger, level, record, line):
    withhold()
    with caplog.at_level("DEBUG", logger):
        logging.getLogger(logger).log(getattr(logging, level), *record)
    assert [each.getMessage() for each in caplog.records] == ([] if line is None else [line])


def test_how_a_run_ended_is_told_and_nothing_of_it_stays(caplog):
    app, seen = made()
    endings = {"return": None, "raise": ValueError("a secret"), "ignore": Ignore(), "reject": Reject(requeue=False)}

    @app.task(shared=False)
    def job(ending):
        if (error := endings[ending]) is not None:
            raise error

    def ended() -> list[JobEnded]:
        return [event for event in seen.events if isinstance(event, JobEnded)]

    before = correlation.current.get(), deadline.current.get()
    with caplog.at_level(logging.CRITICAL), start_worker(app, perform_ping_check=False, pool="solo"):
        for ending in endings:
            job.delay(ending)
        until(lambda: len(ended()) == len(endings))
    assert [event.state for event in ended()] == ["succeeded", "failed", "ignored", "rejected"]
    assert [type(event.error) for event in ended()] == [type(None), ValueError, type(None), type(None)]
    assert "a secret" not in repr(seen.events)
    assert (correlation.current.get(), deadline.current.get()) == before
    assert app.send_task.__self__._runs == {}


def test_without_celery_it_says_what_to_install():
    code = """
import sys
sys.modules["celery"] = None
from seawall import Seawall
from seawall.settings import Settings
try:
    Seawall(service="test", settings=Settings(celery_broker_url="memory://")).celery
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "install 'seawall[celery]'" in done.stdout
