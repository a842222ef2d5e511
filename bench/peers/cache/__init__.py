"""The caches: one module a library, each a set of functions named for what they build.

A peer module has `NAME`, `DISTRIBUTIONS` (whose versions go into the result) and any of these functions. Those marked
with a star may be `async def`.

    hit_async(entries)*                   a cache with `entries` in memory; an `async def` that gets one by key
    hit_sync(entries)*                    the same, but not to be awaited
    hit_decorated(load, size)*            `load` (async, of a key) cached in memory that has room for `size`
    redis_get(url, entries) -> Reading    asynchronous context manager: `entries` in Redis and nowhere else
    shared(url, load) -> Shared           asynchronous context manager: `load` cached in Redis, with memory in front if
                                          the library has that, and with its documented guard against stampedes
    policies() -> {row: make}             `make(capacity)` is a `Request` to an empty cache; one for each policy
    full(count) -> object                 a cache that holds `count` entries `"key:<n>"`: n % 100

`NOTES` says what an offer leaves out, `WITHOUT` why one is missing, `LOCAL` marks a `shared` that is not, but for each
process by itself, and `REFERENCE` what is a yardstick and no peer.
"""
