"""A pool of connections that serves tasks in the order in which they came to wait."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import Empty, Full, QueueCommon


class FairQueue(QueueCommon[ConnectionPoolEntry]):
    """The free connections, the last one used first, and the tasks that wait for one, the longest waiting first.

    A connection that comes back is handed to the first task that waits. SQLAlchemy's own queue (of asyncio) wakes that
    task, and whoever comes along before it runs takes the connection: under load some wait until they are refused.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = True) -> None:
        self.maxsize = maxsize
        self.use_lifo = use_lifo
        self._free: deque[ConnectionPoolEntry] = deque()
        self._waiting: OrderedDict[asyncio.Future[ConnectionPoolEntry], None] = OrderedDict()

    def qsize(self) -> int:
        """How many are free."""
        return len(self._free)

    def empty(self) -> bool:
        """Whether none is."""
        return not self._free

    def full(self) -> bool:
        """Whether no more are kept."""
        return 0 < self.maxsize <= len(self._free)

    def put_nowait(self, item: ConnectionPoolEntry) -> None:
        """Give one back. Raises `Full`."""
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(item)
                return
        if self.full():
            raise Full
        self._free.append(item)

    def put(self, item: ConnectionPoolEntry, block: bool = True, timeout: float | None = None) -> None:
        """As `put_nowait`, which is all the pool needs."""
        self.put_nowait(item)

    def get_nowait(self) -> ConnectionPoolEntry:
        """Take one. Raises `Empty`."""
        if not self._free:
            raise Empty
        return self._free.pop()

    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        """Take one, from within a greenlet, after those who came before. Raises `Empty` after `timeout` seconds."""
        if self._free or not block:
            return self.get_nowait()
        return await_only(self._turn(timeout))

    async def _turn(self, timeout: float | None) -> ConnectionPoolEntry:
        turn: asyncio.Future[ConnectionPoolEntry] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            async with asyncio.timeout(timeout):
                return await turn
        except BaseException as error:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():
                self.put_nowait(turn.result())  # it was handed over in the step in which its receiver left
            if isinstance(error, TimeoutError):
                raise Empty from None
            raise


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool for asyncio, with such a queue."""

    _queue_class = FairQueue
