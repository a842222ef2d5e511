"""A service whose worker has all parts, none of which is started in the worker's main process."""

import os

from seawall import Seawall

sea = Seawall.from_env(service="reports")
celery = sea.celery
parts = sea.database, sea.cache


@celery.task
def pid():
    return os.getpid()
