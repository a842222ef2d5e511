"""Tools for tests, of Seawall and of the services built on it: time that takes none, and faults on demand."""

from seawall.resilience.chaos import Failure, Fault, FaultPlan, Hang, Latency, Reset
from seawall.testing import virtual_time
from seawall.testing.clock import FakeClock
from seawall.testing.proxy import FaultProxy
from seawall.testing.recorder import EventRecorder
from seawall.testing.virtual_time import DeadlockError, VirtualTimeLoop

__all__ = [
    "DeadlockError",
    "EventRecorder",
    "Failure",
    "FakeClock",
    "Fault",
    "FaultPlan",
    "FaultProxy",
    "Hang",
    "Latency",
    "Reset",
    "VirtualTimeLoop",
    "virtual_time",
]
