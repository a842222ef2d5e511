"""tenacity: retries."""

from tenacity import retry as retrying
from tenacity import stop_after_attempt, wait_fixed

from bench.shape import ATTEMPTS, RETRY_DELAY, Call

NAME = "tenacity"
DISTRIBUTIONS = ("tenacity",)


def retry(call: Call) -> Call:
    return retrying(stop=stop_after_attempt(ATTEMPTS), wait=wait_fixed(RETRY_DELAY), reraise=True)(call)


dead_dependency = retry
