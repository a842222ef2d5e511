"""A small service whose endpoints hand jobs to Celery: served by uvicorn, its jobs run by a worker."""

import logging
import os
import signal
import time

from fastapi import FastAPI

from seawall import Seawall
from seawall.core import deadline
from seawall.telemetry.tracing import traced

SECRET = "hunter2-hunter2"

sea = Seawall.from_env(service="reports")
celery = sea.celery
app = FastAPI()
_logger = logging.getLogger("reports")


@celery.task
def add(a, b):
    _logger.info("adding")
    with traced.block("sum"):
        return a + b


@celery.task
def told():
    return SECRET


@celery.task
def fail(argument):
    password = SECRET
    raise RuntimeError(f"password={password}")


@celery.task(bind=True, max_retries=2, default_retry_delay=0)
def flaky(self):
    if self.request.retries < 2:
        try:
            raise ConnectionError("not yet")
        except ConnectionError as error:
            raise self.retry(exc=error, countdown=0.05) from error
    return self.request.retries


@celery.task
def outer():
    return add.delay(1, 2).id


@celery.task(soft_time_limit=25)
def limited():
    return deadline.remaining()


@celery.task
def unlimited():
    return deadline.remaining()


@celery.task
def pid():
    return os.getpid()


@celery.task
def nap():
    _logger.info("naps")
    time.sleep(1)
    return "slept"


@celery.task
def die():
    os.kill(os.getpid(), signal.SIGKILL)


@app.post("/jobs/{name}")
def enqueue(name: str) -> str:
    """The id of a job that was handed in."""
    arguments = {"add": (2, 3), "fail": ("an-argument",)}.get(name, ())
    return str(celery.tasks[f"tests.integration.celery_app.{name}"].delay(*arguments).id)


app = sea.install(app)
