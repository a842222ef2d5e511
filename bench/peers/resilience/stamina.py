"""stamina: retries with instrumentation, which is switched off here."""

import stamina
from stamina.instrumentation import set_on_retry_hooks

from bench.shape import ATTEMPTS, RETRY_DELAY, Call

NAME = "stamina"
DISTRIBUTIONS = ("stamina",)

set_on_retry_hooks(())


def retry(call: Call) -> Call:
    return stamina.retry(
        on=Exception, attempts=ATTEMPTS, wait_initial=RETRY_DELAY, wait_max=RETRY_DELAY, wait_jitter=0.0
    )(call)


dead_dependency = retry
