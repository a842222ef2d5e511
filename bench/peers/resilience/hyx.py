"""hyx: decorators for asyncio; its breaker counts consecutive failures."""

from hyx.bulkhead import bulkhead as limit
from hyx.circuitbreaker import consecutive_breaker
from hyx.ratelimit import tokenbucket
from hyx.retry import retry as retrying
from hyx.timeout import timeout as within

from bench.shape import ATTEMPTS, FAILURES, LIMIT, OPEN_FOR, RATE, RETRY_DELAY, TIMEOUT, WAITING, Call

NAME = "hyx"
DISTRIBUTIONS = ("hyx",)
NOTES = {
    "rate_limit": "looks at the clock only when its bucket is empty, so what it lets through is not a rate",
    "pipeline": "no budget",
    "dead_dependency": "no budget",
}


def breaker(call: Call, open_for: float = OPEN_FOR) -> Call:
    return consecutive_breaker(failure_threshold=FAILURES, recovery_time_secs=open_for, recovery_threshold=1)(call)


def retry(call: Call) -> Call:
    return retrying(on=Exception, attempts=ATTEMPTS - 1, backoff=RETRY_DELAY)(call)


def timeout(call: Call) -> Call:
    return within(TIMEOUT)(call)


def bulkhead(call: Call) -> Call:
    return limit(max_concurrency=LIMIT, max_capacity=LIMIT + WAITING)(call)


def rate_limit(call: Call) -> Call:
    return tokenbucket(max_executions=RATE, per_time_secs=1.0)(call)


def pipeline(call: Call) -> Call:
    return bulkhead(retry(breaker(timeout(call))))


def dead_dependency(call: Call) -> Call:
    return bulkhead(retry(breaker(call)))
