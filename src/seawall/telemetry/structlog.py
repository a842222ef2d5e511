"""structlog's loggers come out as the standard library's do: one format, one sink, the request's ids, no secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from seawall.core import MissingExtraError
from seawall.telemetry.logs import STANDARD

try:
    import structlog
except ImportError:
    raise MissingExtraError("seawall.telemetry.structlog", "structlog", "telemetry") from None

_OURS = frozenset({"exc_info", "stack_info", "stacklevel"})
"""What `logging` takes as arguments of its own."""


def configure() -> bool:
    """Have structlog's loggers write through those of `logging`, whose levels hold for them too.

    Leaves alone what the app has configured itself; returns whether it did something. `Logs` then formats the lines,
    adds the ids of the request at hand, and withholds secrets. A logger is named after the module that asks for it.
    """
    if structlog.is_configured():
        return False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _to_logging,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=_logger,
        cache_logger_on_first_use=True,
    )
    return True


def _logger(*names: Any) -> logging.Logger:
    """structlog's own factory would replace the class of all loggers to come."""
    if names:
        return logging.getLogger(str(names[0]))
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "structlog":
        frame = frame.f_back
    return logging.getLogger(frame.f_globals.get("__name__"))


def _to_logging(logger: Any, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """The arguments of the logger's method. A name that a record has for itself gets an underscore, as in `timed`."""
    arguments: dict[str, Any] = {"msg": str(event.pop("event", ""))}
    for name in _OURS & event.keys():
        arguments[name] = event.pop(name)
    if method == "exception":
        arguments.setdefault("exc_info", True)
    arguments["extra"] = {f"{name}_" if name in STANDARD else name: value for name, value in event.items()}
    return arguments
