"""Log lines for people: one a message, in colour on a terminal, whatever characters it has."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from seawall.telemetry import redaction
from seawall.telemetry.tracebacks import text_of

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_SHOWN = 8
"""Digits of a request's id; enough to tell those on one screen apart."""


class ReadableFormatter(logging.Formatter):
    """`12:00:01.250 WARNING seawall.web 4bf92f35 the message`; a traceback below it."""

    def __init__(self, correlated: Callable[[], Mapping[str, Any]], *, colour: bool = False) -> None:
        super().__init__()
        self._correlated = correlated
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`; control characters are written out, so that no input forges a line."""
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        request_id = str(self._correlated().get("request_id", ""))[:_SHOWN]
        message = _plain(redaction.text(record.getMessage()))
        level = f"{record.levelname:8}"
        when = f"{moment}.{int(record.msecs):03d}"
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
            when = f"\x1b[2m{when}\x1b[0m"
        line = " ".join(part for part in (when, level, request_id, message) if part)
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + text_of(record.exc_info[1])
        return line


def _plain(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\n", "\\n"))
