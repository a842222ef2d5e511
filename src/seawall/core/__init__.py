"""The ground under every part: clock, events, errors, options, lifecycle. Standard library only."""

from seawall.core import correlation, deadline
from seawall.core.clock import SYSTEM_CLOCK, Clock, SystemClock
from seawall.core.errors import MissingExtraError, OptionError, SeawallError, Severity
from seawall.core.events import Event, Events, Listener
from seawall.core.part import Health, Lifecycle, Part, Status

__all__ = [
    "SYSTEM_CLOCK",
    "Clock",
    "Event",
    "Events",
    "Health",
    "Lifecycle",
    "Listener",
    "MissingExtraError",
    "OptionError",
    "Part",
    "SeawallError",
    "Severity",
    "Status",
    "SystemClock",
    "correlation",
    "deadline",
]
