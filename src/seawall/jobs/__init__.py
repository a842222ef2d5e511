"""Background jobs. Today: the tasks of Celery, as much part of the service as its requests."""

from seawall.jobs.errors import QueueUnavailableError
from seawall.jobs.events import JobEnded, JobEnqueued, JobStarted, JobState

__all__ = ["JobEnded", "JobEnqueued", "JobStarted", "JobState", "QueueUnavailableError"]
