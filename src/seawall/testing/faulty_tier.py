"""A shared tier whose calls fail, hang or come late, by rate or by script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from seawall.cache.tier import Tier, TierUnavailableError
from seawall.resilience.chaos import Failure, Fault, FaultPlan, Hang, Latency

_CALLS = frozenset(
    {
        "get",
        "get_many",
        "write",
        "fill",
        "delete",
        "invalidate",
        "invalidations",
        "acquire",
        "renew",
        "release",
        "replay",
    }
)


class FaultyTier:
    """`tier`, with faults before its calls: `FaultyTier(tier, Latency(0.2), Reset(), rate=0.1)`.

    A `Failure` raises what it makes (default: `TierUnavailableError`), a `Hang` and a `Reset` raise
    `TierUnavailableError`, the former after its seconds. after: faults strike when the call has been made, so that
    its outcome is unknown to the caller. only: names of the calls that get faults, all by default.
    """

    def __init__(
        self,
        tier: Tier,
        *faults: Fault,
        rate: float = 1.0,
        script: Iterable[Fault | None] = (),
        seed: int | None = None,
        after: bool = False,
        only: Iterable[str] = _CALLS,
    ) -> None:
        self.tier = tier
        self.plan = FaultPlan(faults, rate, script, seed)
        self.after = after
        self.only = frozenset(only)
        self.enabled = True
        self.injected = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.tier, name)
        return self._faulty(found) if name in self.only else found

    async def __aenter__(self) -> FaultyTier:
        await self.tier.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.tier.__aexit__(*exc)

    def _faulty(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def faulty(*args: Any, **kwargs: Any) -> Any:
            fault = self.plan.draw() if self.enabled else None
            if fault is None:
                return await call(*args, **kwargs)
            self.injected += 1
            if self.after:
                result = await call(*args, **kwargs)
                await _strike(fault)
                return result
            await _strike(fault)
            return await call(*args, **kwargs)

        return faulty


async def _strike(fault: Fault) -> None:
    if isinstance(fault, Latency):
        await asyncio.sleep(fault.seconds)
        return
    if isinstance(fault, Hang):
        await asyncio.sleep(fault.seconds)
    if isinstance(fault, Failure) and fault.error is not None:
        raise fault.error()
    raise TierUnavailableError
