"""The facts that jobs report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from seawall.core import Event


class JobState(StrEnum):
    """How a run of a job ended.

    RETRIED: it failed and is to run again. IGNORED, REJECTED: it said so itself. STOPPED: its process was told to end,
    or its hard time limit was over.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    IGNORED = "ignored"
    REJECTED = "rejected"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class JobEnqueued(Event):
    """A job was handed to the queue.

    job: its name. job_id: of this one. delayed: it is to run at a time of its own, not as soon as a worker is free.
    """

    job: str
    job_id: str
    delayed: bool = False


@dataclass(frozen=True, kw_only=True)
class JobStarted(Event):
    """A worker began to run a job.

    attempt: from 1. waited: seconds since it was handed to the queue, or since it was due; None where that isn't known.
    """

    job: str
    job_id: str
    attempt: int
    waited: float | None


@dataclass(frozen=True, kw_only=True)
class JobEnded(Event):
    """A run of a job has ended.

    started: seconds of the epoch. seconds: until its result was stored. error: what ended it, None if nothing did.
    """

    job: str
    job_id: str
    attempt: int
    waited: float | None
    state: JobState
    started: float
    seconds: float
    error: BaseException | None = field(default=None, repr=False)
