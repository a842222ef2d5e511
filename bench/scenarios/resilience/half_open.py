"""Half-open breaker: how many callers it lets through, and whether cancelled trials wedge it."""

import asyncio
import time
from collections.abc import Callable

from bench.measure import describe
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.run import Run
from bench.shape import Call
from bench.speed import build
from bench.subject import Dependency, open_up

_CALLERS = 100
_SHORT = 0.2
_TRIAL = 0.05
_PATIENCE = 3.0


async def run(bench: Run) -> Table:
    """Open, wait out the open time, then send callers at once; then do it again and cancel the trials."""
    built = await build(bench.peers, "breaker", lambda factory: factory)
    rows, tick = [*built.rows], bench.bar(max(1, len(built.calls)))
    for name, factory in built.calls.items():
        open_for = getattr(bench.by_name[name].module, "SHORTEST_OPEN", _SHORT)
        try:
            shown: dict[str, Figure] = {"through": await _through(factory, open_for)}
            shown |= await _recovery(factory, open_for)
        except Exception as error:  # noqa: BLE001
            rows.append(Row(name=name, failed=describe(error)))
        else:
            rows.append(Row(name=name, figures=shown, note=bench.by_name[name].note("half_open")))
        tick()
    return Table(
        head=Head(
            key="half_open",
            title=f"Half-open breaker, {_CALLERS} callers at once",
            what=f"Opened by failures, open time over, then {_CALLERS} concurrent callers on a dependency that answers "
            f"after {_TRIAL:g} s: how many reach it before the first answer (one trial call is asked for). Then again, "
            "with all trial calls cancelled: does the breaker close again when the dependency is well "
            f"(calls for {_PATIENCE:g} s), and after how long.",
        ),
        columns=(
            Column("through", "let through", "count"),
            Column("wedged", "wedged by cancelled trials", "yes"),
            Column("recovered", "recovered after", "seconds"),
        ),
        rows=ordered(rows, "through"),
        rank="through",
    )


async def _half_opened(factory: Callable[..., Call], open_for: float) -> tuple[Call, Dependency]:
    dependency = Dependency()
    call = factory(dependency.call, open_for)
    await open_up(call, dependency)
    await asyncio.sleep(open_for * 1.2)
    dependency.healthy = True
    dependency.reset()
    return call, dependency


async def _through(factory: Callable[..., Call], open_for: float) -> int:
    call, dependency = await _half_opened(factory, open_for)
    dependency.takes = _TRIAL
    await asyncio.gather(*(call(1) for _ in range(_CALLERS)), return_exceptions=True)
    return dependency.before_first_answer


async def _recovery(factory: Callable[..., Call], open_for: float) -> dict[str, Figure]:
    """Cancel every trial call in flight, then call until an answer comes or patience ends."""
    call, dependency = await _half_opened(factory, open_for)
    dependency.takes = _PATIENCE
    trials = [asyncio.ensure_future(call(1)) for _ in range(_CALLERS)]
    await asyncio.sleep(_TRIAL)
    for trial in trials:
        trial.cancel()
    await asyncio.gather(*trials, return_exceptions=True)
    dependency.takes = None
    started = time.monotonic()
    while (passed := time.monotonic() - started) < _PATIENCE:
        try:
            await call(1)
        except Exception:  # noqa: BLE001  refused; try again a little later
            await asyncio.sleep(_TRIAL)
        else:
            return {"wedged": False, "recovered": passed}
    return {"wedged": True, "recovered": None}
