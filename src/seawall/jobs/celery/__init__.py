"""Celery's tasks as jobs of the service.

    jobs = CeleryJobs(app)           # or `Seawall.celery`, which makes the app as well

What a worker runs has the ids of the request that asked for it, is told of by events, and has its time limit for a
deadline.
"""

from seawall.core import MissingExtraError

try:
    from celery import Celery
except ImportError:
    raise MissingExtraError("Seawall.celery", "celery", "celery") from None

from seawall.jobs.celery.application import BoundedCelery, BrokerUnavailableError, application
from seawall.jobs.celery.tasks import CeleryJobs, Surroundings

__all__ = ["BoundedCelery", "BrokerUnavailableError", "Celery", "CeleryJobs", "Surroundings", "application"]
