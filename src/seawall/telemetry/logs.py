"""Logs as one JSON object a line, with the work's ids on each; or as readable lines for a terminal.

The standard library's loggers and structlog's come out the same way: with the ids of the request at hand, without
secrets, written by a thread.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from seawall.core import correlation
from seawall.telemetry import redaction
from seawall.telemetry.readable import ReadableFormatter
from seawall.telemetry.sink import Descriptor, Output, RotatedFile, Sink
from seawall.telemetry.tracebacks import text_of

_SILENCED = ("uvicorn.access",)
_QUIET = dict.fromkeys(("httpx", "httpx2", "celery.app.trace", "celery.worker.strategy"), "WARNING")
"""They tell each URL they call, with all that is in its query, and what each job returned."""
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What every record has; the rest is what `extra` brought."""
_operation = logging.getLogger("seawall.operations")
_call = logging.getLogger("seawall.calls")
_bound: ContextVar[Mapping[str, Any] | None] = ContextVar("seawall_log_fields", default=None)


def moment(at: float) -> str:
    """Seconds of the epoch as RFC 3339 in UTC, to the millisecond."""
    global _last  # noqa: PLW0603 - lines that are written together are of few milliseconds
    millisecond = int(at * 1000)
    known, text = _last
    if known != millisecond:
        second, beyond = divmod(millisecond, 1000)
        begins = text[:20] if known // 1000 == second else f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}."
        text = f"{begins}{beyond:03d}+00:00"
        _last = millisecond, text
    return text


_last = (0, "1970-01-01T00:00:00.000+00:00")


def correlated() -> dict[str, Any]:
    """The fields of the work at hand: its ids, and what was bound to it."""
    work = correlation.current.get()
    found: dict[str, Any] = {}
    if work is not None:
        found = {"request_id": work.request_id, "trace_id": work.trace_id, "span_id": work.span_id}
        if work.fields:
            found.update(redaction.fields(work.fields))
    bound = _bound.get()
    return {**found, **redaction.fields(bound)} if bound else found


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """A block whose log lines have `fields`, those of tasks begun in it too."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the work's ids, and whatever `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`."""
        line: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redaction.text(record.getMessage()),
            **correlated(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = text_of(record.exc_info[1])
        if record.stack_info:
            line["stack"] = record.stack_info
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD and name not in line}
        if extra:
            line.update(redaction.fields(extra))
        try:
            return json.dumps(line, default=str, allow_nan=False)
        except Exception:  # noqa: BLE001 - an extra that JSON can't hold must not cost the line
            return json.dumps({name: _plain(value) for name, value in line.items()}, default=str)


def _plain(value: object) -> object:
    """`value` if JSON can hold it, else its `repr`, else its type."""
    try:
        json.dumps(value, default=str, allow_nan=False)
    except Exception:  # noqa: BLE001 - as above
        try:
            return redaction.text(repr(value))
        except Exception:  # noqa: BLE001
            return f"<{type(value).__name__} without a repr>"
    return value


class _ToSink(logging.Handler):
    """Hands formatted lines to a sink; counts them by level."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - arguments that don't fit their message
            line = f"{record.name}: {record.msg!r} can't be formatted with its arguments"
        self._logs.count(record.levelname.lower())
        self._logs.sink.write(line.encode("utf-8", "backslashreplace") + b"\n")


class Logs:
    """All logs of this process, in one format and to one place.

    level, loggers: names as `logging` has them; of the root, and of single loggers. Clients that log whole URLs, and
    what Celery says of each job, are at `WARNING` unless named there. json_format: one object a line, or readable
    lines, in colour on a terminal. file: written to in place of standard error, and rotated. most: lines that may wait
    to be written. count: told the level of each line. At the end of the process what waits is written.
    """

    def __init__(
        self,
        *,
        level: str = "INFO",
        loggers: Mapping[str, str] | None = None,
        json_format: bool = True,
        file: Path | None = None,
        stream: TextIO | None = None,
        most: int = 10_000,
        count: Callable[[str], None] = lambda level: None,
    ) -> None:
        output: Output = Descriptor() if stream is None else _Stream(stream)
        colour = file is None and (stream or sys.stderr).isatty()
        self.json_format = json_format
        self.sink = Sink(output if file is None else RotatedFile(file), most=most)
        self.count = count
        self._handler = _ToSink(self)
        self._handler.setFormatter(JsonFormatter() if json_format else ReadableFormatter(correlated, colour=colour))
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(level)
        for name, its in (_QUIET | dict(loggers or {})).items():
            logging.getLogger(name).setLevel(its)
        for name in ("uvicorn", "uvicorn.error", *_SILENCED):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            # The access line is written by Seawall's middleware, with the request's id.
            logger.propagate = name not in _SILENCED

    def close(self) -> None:
        """Write what is left."""
        self.sink.close()


class _Stream:
    """A text stream, such as pytest's or a notebook's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self._stream.write(data.decode("utf-8", "replace"))
        self._stream.flush()


@contextmanager
def timed(operation: str, **fields: Any) -> Iterator[None]:
    """Log how long a block took, and whether it failed."""
    began = time.perf_counter()
    try:
        yield
    except BaseException as error:
        _tell(operation, began, {**fields, "failed": type(error).__name__}, logging.WARNING)
        raise
    _tell(operation, began, fields, logging.INFO)


def _tell(operation: str, began: float, fields: Mapping[str, Any], level: int) -> None:
    if _operation.isEnabledFor(level):
        took = round((time.perf_counter() - began) * 1000, 2)
        extra = {"operation": operation, "duration_ms": took, **_harmless(fields)}
        _operation.log(level, "%s took %s ms", operation, took, extra=extra)


class ApiCall:
    """One call of a provider: `api_call` logs it. Set `tokens`, and `model`, once they are known."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.tokens: int | None = None
        self.fields: dict[str, Any] = {}


@contextmanager
def api_call(provider: str, model: str | None = None) -> Iterator[ApiCall]:
    """Log a call of a provider: its model, tokens, and duration; never what was said.

    with api_call("openai", "gpt-5") as call:
        answer = await client.responses.create(...)
        call.tokens = answer.usage.total_tokens
    """
    call, began = ApiCall(model), time.perf_counter()
    level, failed = logging.INFO, None
    try:
        yield call
    except BaseException as error:
        level, failed = logging.WARNING, type(error).__name__
        raise
    finally:
        took = round((time.perf_counter() - began) * 1000, 2)
        told = {"provider": provider, "model": call.model, "tokens": call.tokens, "failed": failed, **call.fields}
        extra = {name: value for name, value in told.items() if value is not None} | {"duration_ms": took}
        if _call.isEnabledFor(level):
            _call.log(level, "%s %s in %s ms", provider, failed or "answered", took, extra=_harmless(extra))


def _harmless(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without names that `logging` keeps for itself and would refuse."""
    return {f"{name}_" if name in STANDARD else name: value for name, value in fields.items()}
