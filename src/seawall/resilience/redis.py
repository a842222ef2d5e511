"""A rate limit that processes share, kept in Redis or Valkey; each process keeps its own while the server is away."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seawall.core import Clock, Events
from seawall.core.errors import OptionError
from seawall.core.options import number
from seawall.redis import RedisError, Script
from seawall.resilience import events as facts
from seawall.resilience.errors import RateLimitedError
from seawall.resilience.policy import Policy
from seawall.resilience.rate_limit import TokenBucket
from seawall.resilience.weave import Face, Fragment

TAKE = Script("""
-- What TokenBucket.take does. KEYS: bucket. ARGV: interval, capacity, rounding, cost, now (the server's where empty).
-- Returns whether the tokens were taken, and in how many seconds the bucket will be full.
local interval, capacity, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
local old = tonumber(redis.call('GET', KEYS[1]) or '') or 0
if old < now then old = now end
local function keep(full_at)
  redis.call('SET', KEYS[1], string.format('%.17g', full_at), 'PX', math.ceil((full_at - now) * 1000) + 1000)
end
if old > now + capacity + interval then -- this server's clock is behind that of the one it took over from
  old = now + capacity
  keep(old)
end
local full_at = old + interval * cost
if full_at - now - capacity > tonumber(ARGV[3]) then return {0, string.format('%.17g', old - now)} end
keep(full_at)
return {1, string.format('%.17g', full_at - now)}
""")


class RunsScripts(Protocol):
    """What the limit asks of Redis: `seawall.redis.Redis` has it."""

    def run(self, script: Script, keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Awaitable[Any]:
        """The script's result; raises `RedisError` while the server is away."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RateDecision:
    """Whether a call may begin. Times are seconds from now.

    remaining: calls that could begin now. retry_after: when this one could; 0 if it may. reset_after: when all `limit`
    could begin at once. shared: False if this process decided alone, because Redis was away.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float
    limit: int
    shared: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedRateLimitStatistics:
    """Decisions of this process since it was made; `alone` of them without Redis, for `keys` keys it remembers."""

    name: str
    calls: int
    per: float
    burst: int
    allowed: int
    rejected: int
    alone: int
    keys: int


class SharedRateLimit(Policy):
    """Lets `calls` calls of each key begin in every `per` seconds, in all processes together, `burst` of them at once.

        limit = SharedRateLimit(redis, "api", calls=100, per=60.0, processes=4)
        decision = await limit.check(tenant)

        @SharedRateLimit(redis, "mail", calls=10, key=lambda tenant, *_: tenant)
        async def send_mail(tenant: str, text: str) -> None: ...

    redis: a `Redis`, or what runs scripts as it does. name: the limit's, the same in every process. burst: `calls` by
    default. key: as a policy, whose call it is: a function of the call's arguments, or one key for all.
    processes: among how many the rate is divided while Redis is away; 1 gives each process all of it. max_keys: how
    many keys a process remembers then; those unused for longest are forgotten.

    One round trip a decision, by the server's clock, so that the processes' own may differ. While Redis is away this
    process decides at once, and never raises for it; it asks again at each call. It begins with full buckets then, so
    a change over may admit one more burst. After a refusal nothing is taken.

    As a policy it stands around `async def` only, and raises `RateLimitedError` in place of the call. The generic cell
    rate algorithm (ITU-T I.371), the very one of `RateLimit`.
    """

    def __init__(
        self,
        redis: RunsScripts,
        name: str,
        *,
        calls: int,
        per: float = 1.0,
        burst: int | None = None,
        key: Callable[..., str] | str = "",
        processes: int = 1,
        max_keys: int = 10_000,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        number("SharedRateLimit", "calls", calls, at_least=1, integer=True)
        number("SharedRateLimit", "per", per, above=0)
        number("SharedRateLimit", "processes", processes, at_least=1, integer=True)
        number("SharedRateLimit", "max_keys", max_keys, at_least=1, integer=True)
        if burst is not None:
            number("SharedRateLimit", "burst", burst, at_least=1, integer=True)
        if not isinstance(key, str) and not callable(key):
            raise OptionError("SharedRateLimit", "key", key, "a string, or a function of the call's arguments")
        self.calls = calls
        self.per = per
        self.burst = burst or calls
        self.processes = processes
        self._redis = redis
        self._key = key
        whole = TokenBucket(calls, per, self.burst)
        self._whole = whole
        self._args = (repr(whole.interval), repr(whole.capacity), repr(whole.rounding))
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._allowed = self._rejected = self._alone = 0

    async def check(self, key: str = "", cost: int = 1) -> RateDecision:
        """Take `cost` tokens of `key`, if they are there. Raises `OptionError` for more than `burst`, which never are.

        A caller that is cancelled meanwhile may have taken them.
        """
        if cost != 1:
            number("SharedRateLimit.check", "cost", cost, at_least=1, at_most=self.burst, integer=True)
        try:
            taken, ahead = await self._redis.run(TAKE, (f"seawall:limit:{self.name}:{key}",), (*self._args, cost, ""))
        except RedisError:
            decision = self._decide_alone(key, cost)
        else:
            decision = _decision(self._whole, float(ahead), cost, allowed=bool(taken), shared=True)
        if decision.allowed:
            self._allowed += 1
        else:
            self._rejected += 1
        return decision

    def statistics(self) -> SharedRateLimitStatistics:
        """A frozen picture of this moment."""
        return SharedRateLimitStatistics(
            name=self.name,
            calls=self.calls,
            per=self.per,
            burst=self.burst,
            allowed=self._allowed,
            rejected=self._rejected,
            alone=self._alone,
            keys=len(self._buckets),
        )

    def fragment(self, face: Face) -> Fragment:
        """One token before the call."""
        if not face.awaits:
            message = f"{self!r} asks Redis and can't stand around a `def`; make the call async, or take a RateLimit"
            raise TypeError(message)
        return Fragment("$await $enter($args, $kwargs)\n$inner", {"enter": self._enter})

    async def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        key = self._key if isinstance(self._key, str) else self._key(*args, **kwargs)
        decision = await self.check(key)
        if not decision.allowed:
            if self.events.listeners:
                self.events.emit(facts.CallRejected(policy=self.name, reason=RateLimitedError.code))
            raise RateLimitedError(self.name, decision.retry_after)

    def _decide_alone(self, key: str, cost: int) -> RateDecision:
        with self._lock:
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = TokenBucket(self.calls, self.per * self.processes, max(1, self.burst // self.processes))
                self._buckets[key] = bucket
                if len(self._buckets) > self._max_keys:
                    self._buckets.popitem(last=False)
            else:
                self._buckets.move_to_end(key)
            # What costs more than this process's share of the burst takes all of that.
            cost = min(cost, bucket.burst)
            now = self.clock.monotonic()
            allowed = bucket.take(now, 0.0, cost) >= 0
            self._alone += 1
            return _decision(bucket, max(0.0, bucket.full_at - now), cost, allowed=allowed, shared=False)

    def __repr__(self) -> str:
        return f"SharedRateLimit({self.name!r}, {self.calls} per {self.per:g} s)"


def _decision(bucket: TokenBucket, ahead: float, cost: int, *, allowed: bool, shared: bool) -> RateDecision:
    """What a bucket that will be full in `ahead` seconds says to a call."""
    remaining = math.floor((bucket.capacity - ahead + bucket.rounding) / bucket.interval)
    return RateDecision(
        allowed=allowed,
        remaining=max(0, remaining),
        retry_after=0.0 if allowed else ahead + bucket.interval * cost - bucket.capacity,
        reset_after=ahead,
        limit=bucket.burst,
        shared=shared,
    )
