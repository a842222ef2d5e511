"""Policies that stand between a call and a bad day. Each is usable alone; none needs a third-party package."""

from seawall.core import deadline
from seawall.resilience.adaptive import AdaptiveLimit, Priority, priority
from seawall.resilience.backoff import Backoff
from seawall.resilience.breaker import CircuitBreaker
from seawall.resilience.budget import RetryBudget
from seawall.resilience.bulkhead import Bulkhead
from seawall.resilience.chaos import Chaos, Failure, Fault, Hang, Latency, Reset
from seawall.resilience.circuit import CircuitState
from seawall.resilience.errors import (
    BulkheadFullError,
    CallTimeoutError,
    CircuitOpenError,
    DeadlineExceededError,
    InjectedError,
    LimitExceededError,
    PipelineOrderError,
    RateLimitedError,
    RejectedError,
)
from seawall.resilience.events import (
    CallHedged,
    CallRejected,
    CallRetried,
    CallTimedOut,
    CircuitChanged,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitIsolated,
    CircuitOpened,
    CircuitOverridden,
    CircuitWouldHaveOpened,
    FallenBack,
    FaultInjected,
    HedgeWon,
    LimitChanged,
    PolicyEvent,
    RequestSent,
    RetryGivenUp,
)
from seawall.resilience.fallback import Fallback
from seawall.resilience.hedge import Hedge
from seawall.resilience.limits import AIMD, Gradient2, LimitAlgorithm, Vegas
from seawall.resilience.pipeline import Pipeline
from seawall.resilience.policy import Policy
from seawall.resilience.rate_limit import RateLimit
from seawall.resilience.registry import Registry
from seawall.resilience.retry import Retry
from seawall.resilience.timeout import Timeout

__all__ = [
    "AIMD",
    "AdaptiveLimit",
    "Backoff",
    "Bulkhead",
    "BulkheadFullError",
    "CallHedged",
    "CallRejected",
    "CallRetried",
    "CallTimedOut",
    "CallTimeoutError",
    "Chaos",
    "CircuitBreaker",
    "CircuitChanged",
    "CircuitClosed",
    "CircuitHalfOpened",
    "CircuitIsolated",
    "CircuitOpenError",
    "CircuitOpened",
    "CircuitOverridden",
    "CircuitState",
    "CircuitWouldHaveOpened",
    "DeadlineExceededError",
    "Failure",
    "Fallback",
    "FallenBack",
    "Fault",
    "FaultInjected",
    "Gradient2",
    "Hang",
    "Hedge",
    "HedgeWon",
    "InjectedError",
    "Latency",
    "LimitAlgorithm",
    "LimitChanged",
    "LimitExceededError",
    "Pipeline",
    "PipelineOrderError",
    "Policy",
    "PolicyEvent",
    "Priority",
    "RateLimit",
    "RateLimitedError",
    "Registry",
    "RejectedError",
    "RequestSent",
    "Reset",
    "Retry",
    "RetryBudget",
    "RetryGivenUp",
    "Timeout",
    "Vegas",
    "deadline",
    "priority",
]
