"""Checks of what every service needs: disk, memory, and the keys of its providers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping

from seawall.core import Health, OptionError, Status
from seawall.core.options import number
from seawall.health.memory import measure
from seawall.health.report import worst


def disk_space(
    *paths: str | os.PathLike[str], degraded_below: float = 0.15, unhealthy_below: float = 0.10
) -> Callable[[], Health]:
    """A check of the free space where each of `paths` is: `Check("disk", disk_space("/", "/var/lib/app"))`.

    degraded_below, unhealthy_below: shares of the whole, 0 to 1. Space that the system keeps for itself is not free.
    A path that can't be looked at is unhealthy.
    """
    _bounds("disk_space", degraded_below, unhealthy_below)
    if not paths:
        raise OptionError("disk_space", "paths", paths, "at least one path")
    places = [os.fspath(path) for path in paths]

    def look_at(place: str) -> Health:
        try:
            usage = shutil.disk_usage(place)
        except OSError as error:
            return Health(status=Status.UNHEALTHY, message=f"{place} can't be looked at: {type(error).__name__}")
        if not usage.total:  # /proc and the like
            return Health(status=Status.HEALTHY, message=f"{place} has no size")
        status = _status(usage.free / usage.total, degraded_below, unhealthy_below)
        return Health(status=status, message=f"{place} has {_amount(usage.free, usage.total)} free")

    def check() -> Health:
        found = {place: look_at(place) for place in places}
        status = worst(health.status for health in found.values())
        # All of them when all is well, else those that are not.
        told = [health.message for health in found.values() if status is Status.HEALTHY or _ill(health)]
        return Health(status=status, message=", ".join(told), checks=found if len(found) > 1 else {})

    return check


def memory_space(*, degraded_below: float = 0.10, unhealthy_below: float = 0.05) -> Callable[[], Health]:
    """A check of the memory that is left before the system begins to kill: `Check("memory", memory_space())`.

    It is that of the control group (version 1 or 2), where a limit is set, else of the machine. On systems other than
    Linux it is unknown, which is healthy. degraded_below, unhealthy_below: shares of the whole, 0 to 1.
    """
    _bounds("memory_space", degraded_below, unhealthy_below)

    def check() -> Health:
        memory = measure()
        if memory is None:
            return Health(status=Status.HEALTHY, message="unknown on this system")
        status = _status(memory.available / memory.total, degraded_below, unhealthy_below)
        whose = "control group" if memory.limited else "machine"
        return Health(status=status, message=f"the {whose} has {_amount(memory.available, memory.total)} available")

    return check


def configured_keys(keys: Mapping[str, object]) -> Callable[[], Awaitable[Health]]:
    """A check of which keys are set, by what they are for; degraded if one is not: None, empty, or blank.

    `Check("providers", configured_keys({"openai": settings.openai_api_key}), critical=False)`. The keys themselves are
    looked at here, once, and neither kept nor told.
    """
    given = {name: bool(key.strip() if isinstance(key, str) else key) for name, key in keys.items()}
    missing = [name for name, is_set in given.items() if not is_set]
    message = f"not set: {', '.join(missing)}" if missing else "all set"
    health = Health(
        status=Status.DEGRADED if missing else Status.HEALTHY,
        message=message,
        checks={
            name: Health(status=Status.HEALTHY if is_set else Status.DEGRADED, message="set" if is_set else "not set")
            for name, is_set in given.items()
        },
    )

    async def check() -> Health:
        return health

    return check


def _bounds(owner: str, degraded_below: float, unhealthy_below: float) -> None:
    number(owner, "degraded_below", degraded_below, at_least=0, at_most=1)
    number(owner, "unhealthy_below", unhealthy_below, at_least=0, at_most=1)
    if unhealthy_below > degraded_below:
        raise OptionError(owner, "unhealthy_below", unhealthy_below, f"at most degraded_below, {degraded_below:g}")


def _status(share: float, degraded_below: float, unhealthy_below: float) -> Status:
    if share < unhealthy_below:
        return Status.UNHEALTHY
    return Status.DEGRADED if share < degraded_below else Status.HEALTHY


def _amount(part: int, whole: int) -> str:
    # Rounded down, so that what is below a bound is not told to be on it.
    return f"{part * 1000 // whole / 10:g} % ({part / 2**30:.1f} of {whole / 2**30:.1f} GiB)"


def _ill(health: Health) -> bool:
    return health.status is not Status.HEALTHY
