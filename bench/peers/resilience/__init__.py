"""The contenders: one module a library, each a set of functions named for what they build.

A peer module has `NAME`, `DISTRIBUTIONS` (whose versions go into the result) and any of these functions:

    breaker(call, open_for, listener)     asynchronous breaker: opens after FAILURES failures, one trial call
    breaker_time_slow(call)               the same over a time window, with slow-call detection
    retry(call) timeout(call) bulkhead(call) rate_limit(call)
    pipeline(call)                        bulkhead > retry with budget > breaker > timeout
    dead_dependency(call)                 what its users would put before a dependency that dies
    breaker_sync(call)                    synchronous breaker
    breaker_counted(call) -> Counted      a synchronous breaker that never opens, with its public counter

`NOTES` says what an offer leaves out, `WITHOUT` why one is missing, `REFERENCE` marks the standard library, and
`SHORTEST_OPEN` is the shortest time, in seconds, for which the breaker can be open.
"""
