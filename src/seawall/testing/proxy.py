"""A TCP proxy with faults: stands between a client and a real server and does what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from seawall.resilience.chaos import Failure, Fault, FaultPlan, Hang, Latency, Reset


class FaultProxy:
    """Forwards 127.0.0.1:`port` to a server, with faults.

        async with FaultProxy("127.0.0.1", 6379) as proxy:
            connect("127.0.0.1", proxy.port)
            proxy.fault = Latency(0.2)      # from now on, every piece of data comes 0.2 s late
            proxy.fault = Hang()            # nothing passes any more; connections stay open
            proxy.cut(reset=True)           # every connection is reset (TCP RST)
            await proxy.refuse()            # new connections are refused, old ones are reset
            await proxy.accept()            # and accepted again, on the same port

    script, rate, faults, seed: a fault for each new connection, as for `Chaos`; `Failure` closes it after the
    first data from the client, `Reset` resets it then. `fault` holds for all connections, old and new.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *faults: Fault,
        rate: float = 1.0,
        script: Iterable[Fault | None] = (),
        seed: int | None = None,
    ) -> None:
        self._upstream = (host, port)
        self._plan = FaultPlan(faults, rate, script, seed)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._healthy = asyncio.Event()
        self._healthy.set()
        self._fault: Fault | None = None
        self.port = 0
        self.connections = 0

    @property
    def fault(self) -> Fault | None:
        """The fault of all connections; set it to change it, None for none."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._fault = fault
        if isinstance(fault, Hang):
            self._healthy.clear()
        else:
            self._healthy.set()
        if isinstance(fault, (Reset, Failure)):
            self.cut(reset=isinstance(fault, Reset))

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Closed transports close their sockets one step later.
        await asyncio.sleep(0)

    async def accept(self) -> None:
        """Listen; on a free port first, on that same one later."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening, and reset all connections."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            self.cut(reset=True)
            # The kernel refuses connections once the closed socket's callbacks have run.
            await asyncio.sleep(0)

    def cut(self, *, reset: bool = False) -> None:
        """End all connections, with a TCP RST if `reset`."""
        for writer in tuple(self._writers):
            _end(writer, reset=reset)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.create_task(self._serve(reader, writer, self._plan.draw()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        ends = [writer]
        reset = False
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._upstream)
            ends.append(server_writer)
            self._writers.add(server_writer)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._forward(reader, server_writer, fault, from_client=True))
                ways.create_task(self._forward(server_reader, writer, fault, from_client=False))
        except* ConnectionAbortedError:
            pass
        except* OSError:
            reset = True
        finally:
            for end in ends:
                self._writers.discard(end)
                _end(end, reset=reset)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None, *, from_client: bool
    ) -> None:
        while True:
            data = await reader.read(65536)
            # No data is the sender's end of file; it is late, and hangs, like data.
            for each in (fault, self._fault):
                if data and from_client and isinstance(each, Reset):
                    raise ConnectionResetError
                if data and from_client and isinstance(each, Failure):
                    raise ConnectionAbortedError
            if isinstance(fault, Hang):
                await asyncio.sleep(fault.seconds)
                raise ConnectionResetError
            await self._healthy.wait()
            for each in (fault, self._fault):
                if isinstance(each, Latency):
                    await asyncio.sleep(each.seconds)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if not writer.is_closing() and writer.can_write_eof():
            writer.write_eof()


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        connection = writer.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
