"""backoff: retries."""

import backoff

from bench.shape import ATTEMPTS, RETRY_DELAY, Call

NAME = "backoff"
DISTRIBUTIONS = ("backoff",)


def retry(call: Call) -> Call:
    return backoff.on_exception(
        backoff.constant, Exception, max_tries=ATTEMPTS, interval=RETRY_DELAY, jitter=None, logger=None
    )(call)


dead_dependency = retry
