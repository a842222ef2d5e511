"""Tools for tests, of Seawall and of the services built on it: time that takes none, and faults on demand."""

from seawall.resilience.chaos import Failure, Fault, FaultPlan, Hang, Latency, Reset
from seawall.testing import virtual_time
from seawall.testing.clock import FakeClock
from seawall.testing.faulty_tier import FaultyTier
from seawall.testing.proxy import FaultProxy
from seawall.testing.recorder import EventRecorder
from seawall.testing.tier import Store, StoreTier
from seawall.testing.tier_contract import TIER_CHECKS
from seawall.testing.valkey import Valkey
from seawall.testing.virtual_time import DeadlockError, VirtualTimeLoop

__all__ = [
    "TIER_CHECKS",
    "DeadlockError",
    "EventRecorder",
    "Failure",
    "FakeClock",
    "Fault",
    "FaultPlan",
    "FaultProxy",
    "FaultyTier",
    "Hang",
    "Latency",
    "Reset",
    "Store",
    "StoreTier",
    "Valkey",
    "VirtualTimeLoop",
    "virtual_time",
]
