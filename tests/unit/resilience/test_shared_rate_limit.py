"""The shared rate limit: what it decides alone, what it says, and how it stands in a pipeline. See also integration."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import Events, OptionError
from seawall.redis import RedisCommandError, RedisUnavailableError
from seawall.resilience import CallRejected, Pipeline, RateLimitedError, Retry
from seawall.resilience.rate_limit import TokenBucket
from seawall.resilience.redis import RateDecision, SharedRateLimit
from seawall.testing import EventRecorder, FakeClock, virtual_time

AWAY = RedisUnavailableError("redis", "127.0.0.1:6379", "the test took it away")


class Server:
    """Stands for Redis: the script's arguments, decided by the machine; or away."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.error: Exception | None = None
        self.asked = 0
        self.buckets: dict[str, TokenBucket] = {}

    async def run(self, script: Any, keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        interval, capacity, _, cost, _ = args
        bucket = self.buckets.get(keys[0])
        if bucket is None:
            bucket = self.buckets[keys[0]] = TokenBucket(1, float(interval), round(float(capacity) / float(interval)))
        now = self.clock.monotonic()
        taken = bucket.take(now, 0.0, int(cost)) >= 0
        return [int(taken), repr(max(0.0, bucket.full_at - now)).encode()]


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(clock)


def test_decision_says_what_is_left_and_when_to_come_back(server, clock, run):
    limit = SharedRateLimit(server, "api", calls=4, per=8.0, clock=clock)

    async def main() -> None:
        assert await limit.check("a", cost=3) == RateDecision(
            allowed=True, remaining=1, retry_after=0.0, reset_after=6.0, limit=4, shared=True
        )
        assert await limit.check("a", cost=2) == RateDecision(
            allowed=False, remaining=1, retry_after=2.0, reset_after=6.0, limit=4, shared=True
        )
        clock.advance(2.0)
        assert (await limit.check("a", cost=2)).remaining == 0
        assert (await limit.check("b")).remaining == 3

    run(main())
    statistics = limit.statistics()
    assert (statistics.allowed, statistics.rejected, statistics.alone, statistics.keys) == (3, 1, 0, 0)


@pytest.mark.parametrize("error", [AWAY, RedisCommandError("redis", "127.0.0.1:6379", "OOM command not allowed")])
def test_without_redis_each_process_takes_its_share_and_comes_back_by_itself(server, clock, run, error):
    limit = SharedRateLimit(server, "api", calls=8, per=8.0, processes=4, clock=clock)
    server.error = error

    async def main() -> None:
        decisions = [await limit.check("a") for _ in range(3)]
        assert [each.allowed for each in decisions] == [True, True, False]
        assert {(each.limit, each.shared) for each in decisions} == {(2, False)}
        assert (decisions[0].remaining, decisions[2].retry_after) == (1, 4.0)
        clock.advance(4.0)
        assert (await limit.check("a")).allowed
        server.error = None
        decision = await limit.check("a")
        assert (decision.shared, decision.limit, decision.remaining) == (True, 8, 7)

    run(main())
    assert (limit.statistics().alone, server.asked) == (4, 5)


def test_alone_a_cost_above_the_share_takes_all_of_it(server, clock, run):
    limit = SharedRateLimit(server, "api", calls=8, processes=4, clock=clock)
    server.error = AWAY

    async def main() -> None:
        assert (await limit.check(cost=8)).allowed
        assert not (await limit.check()).allowed

    run(main())


def test_alone_the_keys_unused_for_longest_are_forgotten(server, clock, run):
    limit = SharedRateLimit(server, "api", calls=1, per=60.0, max_keys=2, clock=clock)
    server.error = AWAY

    async def main() -> None:
        assert [(await limit.check(key)).allowed for key in "abac"] == [True, True, False, True]
        assert limit.statistics().keys == 2
        assert [(await limit.check(key)).allowed for key in "acb"] == [False, False, True]

    run(main())
    assert limit.statistics().keys == 2


@given(
    st.integers(1, 20),
    st.integers(1, 10),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 3)), min_size=1, max_size=60),
)
def test_alone_never_more_than_burst_and_rate_in_any_stretch(calls: int, burst: int, steps: list[Any]) -> None:
    clock = FakeClock()
    server = Server(clock)
    server.error = AWAY
    limit = SharedRateLimit(server, "api", calls=calls, per=10.0, burst=burst, clock=clock)
    taken: list[tuple[float, int]] = []

    async def main() -> None:
        for pause, cost in steps:
            clock.advance(pause)
            decision = await limit.check("a", cost=min(cost, burst))
            if decision.allowed:
                taken.append((clock.monotonic(), min(cost, burst)))
            else:
                clock.advance(decision.retry_after)
                assert (await limit.check("a", cost=min(cost, burst))).allowed
                taken.append((clock.monotonic(), min(cost, burst)))

    virtual_time.run(main(), clock=clock)
    for first, (begin, _) in enumerate(taken):
        for last in range(first, len(taken)):
            admitted = sum(cost for _, cost in taken[first : last + 1])
            assert admitted <= burst + (taken[last][0] - begin) * calls / 10.0 + 1e-3


def test_in_a_pipeline_it_refuses_by_key_with_retry_after(server, clock, run):
    events = Events()
    recorder = EventRecorder(events)
    limit = SharedRateLimit(server, "mail", calls=1, per=60.0, key=lambda tenant, *_, **__: tenant)
    pipeline = Pipeline("mails", Retry(on=OSError), limit, clock=clock, events=events)
    sent: list[str] = []

    @pipeline
    async def send(tenant: str, text: str) -> str:
        sent.append(tenant)
        return text

    async def main() -> None:
        assert await send("a", text="hello") == "hello"
        with pytest.raises(RateLimitedError, match=r"rate limit 'mail' is used up; next call in 60.00 s") as raised:
            await send("a", "again")
        assert raised.value.retry_after == 60.0
        await send("b", "hello")

    run(main())
    assert sent == ["a", "b"]
    assert recorder.events == [CallRejected(policy="mail", reason="rate-limited")]
    assert sorted(server.buckets) == ["seawall:limit:mail:a", "seawall:limit:mail:b"]


def test_one_key_guards_blocks_and_calls_alike(server, clock, run):
    limit = SharedRateLimit(server, "api", calls=1, per=60.0, key="all", clock=clock)

    async def main() -> None:
        async with limit.guard():
            pass
        with pytest.raises(RateLimitedError):
            await limit.call(asyncio.sleep, 0)

    run(main())


def test_a_stream_as_a_whole_is_one_call(server, clock, run):
    limit = SharedRateLimit(server, "api", calls=1, per=60.0, clock=clock)

    @limit
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def main() -> None:
        assert [number async for number in numbers()] == [0, 1, 2]
        with pytest.raises(RateLimitedError):
            assert [number async for number in numbers()]

    run(main())


def test_a_blocking_function_is_refused_when_decorated(server):
    with pytest.raises(TypeError, match="can't stand around a `def`"):
        SharedRateLimit(server, "api", calls=1)(len)


def test_what_is_no_redis_error_is_the_callers(server, run):
    server.error = RuntimeError("it isn't entered")
    with pytest.raises(RuntimeError, match="entered"):
        run(SharedRateLimit(server, "api", calls=1).check())


@pytest.mark.parametrize(
    "options", [{"calls": 0}, {"per": 0}, {"burst": 0}, {"processes": 0}, {"max_keys": 0}, {"key": 7}]
)
def test_impossible_options_are_refused(server, options):
    with pytest.raises(OptionError, match=f"SharedRateLimit: {next(iter(options))} is"):
        SharedRateLimit(server, "api", **{"calls": 1} | options)


def test_a_cost_that_can_never_be_paid_is_refused(server, run):
    with pytest.raises(OptionError, match="cost is 3"):
        run(SharedRateLimit(server, "api", calls=2).check(cost=3))
