"""grit-toolkit: small decorators; its breaker counts consecutive failures."""

import grit
from grit.backoff import constant

from bench.shape import (
    ATTEMPTS,
    FAILURES,
    LIMIT,
    NEVER,
    OPEN_FOR,
    RATE,
    RETRY_DELAY,
    TIMEOUT,
    Call,
    Counted,
    Listener,
    SyncCall,
)

NAME = "grit"
DISTRIBUTIONS = ("grit-toolkit",)
NOTES = {"pipeline": "no budget", "dead_dependency": "no budget"}


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    circuit = grit.breaker(fails=FAILURES, reset_after=open_for)
    if listener:
        circuit.on_change(listener)
    return circuit(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return grit.breaker(fails=FAILURES)(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = grit.breaker(fails=NEVER)
    return Counted(call=circuit(call), read=lambda: circuit.count, failures_only=True)


def retry(call: Call) -> Call:
    return grit.retry(tries=ATTEMPTS, wait=constant(RETRY_DELAY))(call)


def timeout(call: Call) -> Call:
    return grit.timeout(TIMEOUT)(call)


def bulkhead(call: Call) -> Call:
    return grit.bulkhead(LIMIT)(call)


def rate_limit(call: Call) -> Call:
    return grit.limiter(rate=RATE, per=1.0)(call)


def pipeline(call: Call) -> Call:
    return grit.policy(
        grit.bulkhead(LIMIT),
        grit.retry(tries=ATTEMPTS, wait=constant(RETRY_DELAY)),
        grit.breaker(fails=FAILURES),
        grit.timeout(TIMEOUT),
    )(call)


def dead_dependency(call: Call) -> Call:
    return bulkhead(retry(breaker(call)))
