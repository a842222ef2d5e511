"""The scenarios in the order in which they run: one module each, with `async def run(bench)`."""

from bench.scenarios.cache import (
    codec,
    faults,
    hit_async,
    hit_decorated,
    hit_ratio,
    hit_sync,
    memory,
    outage,
    redis_throughput,
    stampede,
)
from bench.suite import Scenario

SCENARIOS: dict[str, Scenario] = {
    "hit_async": hit_async.run,
    "hit_decorated": hit_decorated.run,
    "hit_sync": hit_sync.run,
    "redis_throughput": redis_throughput.run,
    "stampede": stampede.run,
    "stampede_long": stampede.run_long,
    "faults": faults.run,
    "outage": outage.run,
    "hit_ratio": hit_ratio.run,
    "memory": memory.run,
    "codec": codec.run,
}
