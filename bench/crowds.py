"""The common part of the stampede scenarios: sends crowds to every peer and counts the loads."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from bench.callers import Crowd, Fault, Outcome, callers
from bench.model import Row
from bench.processes import barrier, run_all
from bench.registry import Peer
from bench.run import Run
from seawall.testing.valkey import Valkey

_START = 30.0
"""Seconds a process has to import what it needs, when all do at once."""


def contenders(bench: Run, *, local: bool) -> tuple[list[Peer], list[Row]]:
    """The peers that cache a function for several processes, and rows for the others.

    local: with those that cache it for each process by itself.
    """
    able, rows = list[Peer](), list[Row]()
    for peer in bench.peers:
        if peer.broken:
            rows.append(Row(name=peer.name, failed=peer.broken))
        elif peer.offer("shared") is None:
            rows.append(Row(name=peer.name, absent=peer.reason("shared"), reference=peer.reference))
        elif getattr(peer.module, "LOCAL", False) and not local:
            rows.append(Row(name=peer.name, absent="each process for itself"))
        else:
            able.append(peer)
    return able, rows


@contextmanager
def server() -> Iterator[tuple[str, Redis]]:
    """A Valkey of this run's own: its URL, and a connection to read the counts."""
    with Valkey() as valkey, Redis.from_url(valkey.url) as redis:
        yield valkey.url, redis


async def send(
    peer: Peer, url: str, redis: Redis, *, processes: int, each: int, load: float, most: float, fault: Fault = "none"
) -> tuple[list[Outcome | str | None], int]:
    """Send a crowd of `each` callers in every one of `processes`; what became of them, and the loads there were.

    In place of an `Outcome` there is the error of a process that failed, and None for one that was killed.
    """
    key = f"{peer.path.rpartition('.')[2]}-{fault}-{load:g}".replace(".", "")
    crowd = Crowd(path=peer.path, url=url, key=key, load=load, callers=each, most=most, fault=fault)
    line = barrier(processes)
    outcomes = await asyncio.to_thread(run_all, callers, [(crowd, line)] * processes, seconds=_START + most)
    found = redis.get(f"loads:{key}")
    return outcomes, int(found) if isinstance(found, bytes) else 0


def problem(outcomes: list[Outcome | str | None]) -> str | None:
    """The error of a process that could not even call."""
    return next((outcome for outcome in outcomes if isinstance(outcome, str)), None)
