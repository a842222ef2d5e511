"""Timeout against `asyncio.timeout` as the model, over every interleaving of what can happen to a call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.resilience import Timeout
from seawall.testing import FakeClock, virtual_time

Body = Callable[[], Awaitable[str]]
Limit = Callable[[Body], Awaitable[str]]
Outcome = tuple[str, float, int]  # how it ended, when, and how many cancellations the task is left with

LIMIT = 2.0
MOMENTS = st.sampled_from([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])


@dataclass(frozen=True)
class Plan:
    """What happens to a call under a timeout of 2 s, and when."""

    completes: float
    cancels: list[float]
    cancels_first: bool  # whether the canceller's timers are set before the call's
    reaction: str
    cleanup: float


PLANS = st.builds(
    Plan,
    completes=st.one_of(MOMENTS, st.just(60.0)),
    cancels=st.lists(MOMENTS, max_size=2),
    cancels_first=st.booleans(),
    reaction=st.sampled_from(["propagate", "swallow", "go on", "clean up", "replace", "uncancel"]),
    cleanup=MOMENTS,
)


async def call(plan: Plan) -> str:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def complete() -> None:
        if not done.done():
            done.set_result("done")

    timer = loop.call_later(plan.completes, complete)
    try:
        return str(await done)
    except asyncio.CancelledError:
        if plan.reaction == "swallow":
            return "swallowed"
        if plan.reaction == "replace":
            message = "replaced"
            raise ValueError(message) from None
        if plan.reaction == "uncancel":
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return "uncancelled"
        await asyncio.sleep(plan.cleanup)
        if plan.reaction == "go on":
            return "late"
        raise
    finally:
        timer.cancel()


def outcome_of(plan: Plan, limit: Limit, clock: FakeClock) -> Outcome:
    async def body() -> str:
        return await call(plan)

    async def watched() -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        try:
            ended = await limit(body)
        except asyncio.CancelledError:
            ended = "cancelled"
        except TimeoutError:
            ended = "timed out"
        except ValueError:
            ended = "replaced"
        return ended, clock.monotonic(), task.cancelling()

    async def main() -> Outcome:
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Outcome] | None = None

        def cancel() -> None:
            assert task is not None
            task.cancel()

        if plan.cancels_first:
            for moment in plan.cancels:
                loop.call_later(moment, cancel)
        task = asyncio.create_task(watched())
        if not plan.cancels_first:
            await asyncio.sleep(0)
            for moment in plan.cancels:
                loop.call_later(moment, cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return "cancelled before it began or after it ended", clock.monotonic(), -1

    return virtual_time.run(main(), clock=clock)


def by_asyncio(plan: Plan, *limits: float) -> Outcome:
    async def limited(body: Body, limits: tuple[float, ...] = limits) -> str:
        if not limits:
            return await body()
        async with asyncio.timeout(limits[0]):
            return await limited(body, limits[1:])

    return outcome_of(plan, limited, FakeClock())


def by_seawall(plan: Plan, *limits: float) -> Outcome:
    clock = FakeClock()
    timeouts = [Timeout(seconds, clock=clock) for seconds in limits]

    async def limited(body: Body) -> str:
        call = body
        for timeout in reversed(timeouts):
            call = timeout(call)
        return await call()

    outcome = outcome_of(plan, limited, clock)
    for timeout in timeouts:
        assert timeout.expiries.calls == {}
    return outcome


@given(PLANS)
@settings(max_examples=600, deadline=None)
def test_one_timeout_does_what_asyncio_does(plan):
    assert by_seawall(plan, LIMIT) == by_asyncio(plan, LIMIT)


# An inner timeout is clipped to the outer one's time, so it does not cut a clean-up a second time, as asyncio's does.
NESTABLE = PLANS.filter(lambda plan: plan.reaction == "replace" or (plan.reaction, plan.cleanup) == ("propagate", 0))


@given(NESTABLE, st.lists(MOMENTS.filter(bool), min_size=2, max_size=3))
@settings(max_examples=400, deadline=None)
def test_nested_timeouts_do_what_asyncio_does(plan, limits):
    assert by_seawall(plan, *limits) == by_asyncio(plan, *limits)
