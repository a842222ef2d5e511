"""What Celery's own loggers may say: nothing that a job is called with."""

from __future__ import annotations

import logging

_TELL_ARGUMENTS = ("celery.app.trace", "celery.worker.strategy", "celery.worker.request")
_TELL_MESSAGES = ("celery.worker.consumer.consumer",)
_TELL_ALL = ("celery.pool",)


def withhold() -> None:
    """Keep arguments out of the log, from now on, in this process and its children."""
    for names, keep in (
        (_TELL_ARGUMENTS, _without_data),
        (_TELL_MESSAGES, _first_line),
        (_TELL_ALL, _no_details),
    ):
        for name in names:
            logging.getLogger(name).addFilter(keep)


def _without_data(record: logging.LogRecord) -> bool:
    """A record's `data` has the arguments, and little that isn't in its message."""
    record.__dict__.pop("data", None)
    return True


def _first_line(record: logging.LogRecord) -> bool:
    """Of a message that no task is for, all is told: what it is in the first line, its body in those that follow."""
    if record.levelno >= logging.ERROR and isinstance(record.msg, str) and "\n" in record.msg.strip():
        record.msg = record.msg.strip().partition("\n")[0]
        if isinstance(record.args, tuple):
            record.args = record.args[: record.msg.count("%s") + record.msg.count("%r")]
    return True


def _no_details(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG
