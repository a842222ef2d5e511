"""Levels of loggers that are changed while the service runs, and change back by themselves."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from seawall.core import SYSTEM_CLOCK, Clock, OptionError
from seawall.core.options import number

LONGEST = 86_400.0
NAMES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, kw_only=True)
class Level:
    """What a logger lets through; `reverts_in` seconds it is as before, None if it wasn't changed."""

    logger: str
    level: str
    reverts_in: float | None


class Levels:
    """The levels of this process's loggers, by name; `root` is the one above all.

    levels.set("seawall.database", "DEBUG", seconds=600)
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._changed: dict[str, tuple[int, float, threading.Timer]] = {}
        self._changing = threading.Lock()

    def set(self, logger: str, level: str, *, seconds: float = 900.0) -> None:
        """Change a logger's level for so long. Raises `OptionError` for a level or a time that can't be."""
        number("Levels", "seconds", seconds, above=0, at_most=LONGEST)
        if level.upper() not in NAMES:
            raise OptionError("Levels", "level", level, ", ".join(NAMES))
        found = _logger(logger)
        with self._changing:
            before = self._changed[logger][0] if logger in self._changed else found.level
            if logger in self._changed:
                self._changed[logger][2].cancel()
            timer = threading.Timer(seconds, self.revert, (logger,))
            timer.daemon = True
            self._changed[logger] = (before, self._clock.monotonic() + seconds, timer)
            found.setLevel(level.upper())
            timer.start()

    def revert(self, logger: str) -> None:
        """Let a logger be as it was."""
        with self._changing:
            changed = self._changed.pop(logger, None)
            if changed is not None:
                changed[2].cancel()
                _logger(logger).setLevel(changed[0])

    def close(self) -> None:
        """Let all be as they were."""
        for logger in list(self._changed):
            self.revert(logger)

    def list(self) -> list[Level]:
        """Every logger with a level of its own, and root."""
        now, found = self._clock.monotonic(), []
        loggers = logging.root.manager.loggerDict
        for name in ["root", *sorted(loggers)]:
            logger = _logger(name) if name == "root" else loggers[name]
            if isinstance(logger, logging.Logger) and (logger.level or name == "root"):
                changed = self._changed.get(name)
                left = None if changed is None else max(0.0, changed[1] - now)
                found.append(Level(logger=name, level=logging.getLevelName(logger.level), reverts_in=left))
        return found


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == "root" else name)
