"""Logs as one JSON object a line, with the request's id on each; or as readable lines for a terminal."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

request_id: ContextVar[str | None] = ContextVar("seawall_request_id", default=None)
"""The id of the request at hand, None outside of one."""

_SILENCED = ("uvicorn.access",)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, and whatever `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        current = request_id.get()
        if current is not None:
            line["request_id"] = current
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD and name not in line}
        try:
            return json.dumps(line | extra, default=str, allow_nan=False)
        except Exception:  # noqa: BLE001 - an extra that JSON can't hold must not cost the line
            return json.dumps(line | {name: _plain(value) for name, value in extra.items()}, default=str)


class ReadableFormatter(logging.Formatter):
    """One line for a message, whatever characters it has; a traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line, with control characters written out, so that no input forges a line or steers a terminal."""
        line = super().formatMessage(record).replace("\n", "\\n")
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)


def _plain(value: object) -> object:
    """`value` if JSON can hold it, else its `repr`, else its type."""
    try:
        json.dumps(value, default=str, allow_nan=False)
    except Exception:  # noqa: BLE001 - as above
        try:
            return repr(value)
        except Exception:  # noqa: BLE001
            return f"<{type(value).__name__} without a repr>"
    return value


def configure(*, level: str = "INFO", json_format: bool = True, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (default: standard error) in one format, uvicorn's own included."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if json_format else ReadableFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", *_SILENCED):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        # The access line is written by Seawall's middleware, with the request's id.
        logger.propagate = name not in _SILENCED
