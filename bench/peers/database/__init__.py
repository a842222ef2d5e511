"""The databases: one module a library, each a set of functions named for what they build.

A peer module has `NAME`, `DISTRIBUTIONS` (whose versions go into the result) and any of these functions. The first
three are asynchronous context managers that give an `Opened`, with `POOL` connections to each server.

    opened(servers)         the way one begins: what its sessions and statements cost, and what cancelled callers do
    routed(servers)         reads go to the replicas where the library thinks they may
    failing_over(servers)   finds the new primary among `servers` when the old one is gone, if the library can
    decisions(opened) -> {row: call}         `call(None)` chooses a server for a read
    classifications(opened) -> {row: call}   `call(sql)` says what kind of statement it is

`NOTES` says what an offer leaves out, by scenario, `WITHOUT` why one is missing, and `REFERENCE` what is a yardstick
and no peer.
"""
