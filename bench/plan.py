"""How long a run takes: one value object that every scenario reads."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Rounds and bounds of a run; every load ends by itself.

    `lap` is the CPU time, in seconds, that one contender gets in one round. `growth_calls` and
    `growth_seconds` bound the memory check, whichever comes first.

    For caches: `burst` is the seconds one contender asks Redis in one round, `load` how long a load takes, `long_load`
    one that outlasts every lease, `outage` and `outages` how long and how often Redis is stopped;
    `requests` of a trace and `entries` in memory.

    For databases: `visits` of callers who write and then read, and `cancellations` of callers.

    For requests: `distinct` ones that have nothing in common, and `recycled` workers; `launches` of each contender,
    since where its memory happens to lie makes a process some percent faster or slower than the next one.
    """

    rounds: int = 31
    lap: float = 0.010
    growth_calls: int = 1_000_000
    growth_seconds: float = 6.0
    thread_calls: int = 50_000
    callers: int = 1_000
    burst: float = 0.25
    processes: int = 4
    load: float = 0.5
    long_load: float = 7.0
    outage: float = 6.0
    outages: int = 3
    requests: int = 500_000
    entries: int = 1_000_000
    visits: int = 2_000
    cancellations: int = 400
    distinct: int = 100_000
    recycled: int = 60
    launches: int = 5

    @classmethod
    def quick(cls) -> "Plan":
        """Return a plan of a few seconds a scenario: good for a look, not for a claim."""
        return cls(
            rounds=9,
            lap=0.003,
            growth_calls=50_000,
            growth_seconds=0.3,
            thread_calls=10_000,
            burst=0.05,
            processes=2,
            load=0.3,
            long_load=3.5,
            outage=2.0,
            outages=1,
            requests=100_000,
            entries=100_000,
            visits=200,
            cancellations=100,
            distinct=20_000,
            recycled=6,
            launches=1,
        )

    def shares(self, rounds: int) -> list[int]:
        """How many of `rounds` each launch gets."""
        launches = min(self.launches, rounds)
        return [rounds // launches + (number < rounds % launches) for number in range(launches)]
