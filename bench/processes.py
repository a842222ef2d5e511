"""Runs a function in processes of its own, started afresh, and never waits longer than it was told."""

import asyncio
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from bench.measure import describe

T = TypeVar("T")
_SPAWN = multiprocessing.get_context("spawn")


def run_all(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], *, seconds: float) -> list[Any]:
    """Call `function` with each of `arguments` in a process of its own, all at once; what they returned.

    An exception is returned as a `str`, a process that was killed as None, and so is one that `seconds` were not
    enough for; it is ended.
    """
    running = list[tuple[BaseProcess, Connection]]()
    ends = time.monotonic() + seconds
    try:
        for each in arguments:
            mine, theirs = _SPAWN.Pipe(duplex=False)
            process: BaseProcess = _SPAWN.Process(target=_report, args=(theirs, function, each), daemon=True)
            process.start()
            theirs.close()
            running.append((process, mine))
        return [_received(connection, ends) for _, connection in running]
    finally:
        for process, connection in running:
            process.join(0.5)
            if process.is_alive():
                process.kill()
                process.join(2.0)
            connection.close()


def complete(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop that is then left as it is: a process that is about to end tidies nothing."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda _, __: None)
    return loop.run_until_complete(work)


def barrier(parties: int) -> Any:
    """A barrier for that many processes, to be given to them as an argument."""
    return _SPAWN.Barrier(parties)


def _received(connection: Connection, ends: float) -> Any:
    if not wait([connection], max(0.0, ends - time.monotonic())):
        return None
    try:
        return connection.recv()
    except EOFError:
        return None


def _report(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    logging.disable(logging.CRITICAL)  # peers tell at length of a server that is away
    try:
        found = function(*arguments)
    except BaseException as error:  # noqa: BLE001  the other process writes it into the table
        found = describe(error)
    connection.send(found)
    connection.close()
    os._exit(0)  # whatever a peer has left running, nobody waits for it
