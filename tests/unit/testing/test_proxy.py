import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from seawall.testing import Failure, Fault, FaultProxy, Hang, Latency, Reset

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A real server on a loopback port that sends back what it gets."""

    def __init__(self) -> None:
        self.open = 0
        self._ended = asyncio.Event()
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            self._ended.set()
            writer.close()

    async def all_closed(self) -> None:
        async with asyncio.timeout(5):
            while self.open:
                self._ended.clear()
                await self._ended.wait()


@asynccontextmanager
async def echo_server() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with server:
        yield echo
        await echo.all_closed()


def proxied(test: Callable[[FaultProxy, Echo], Awaitable[None]], *faults: Fault, **options: Any) -> None:
    """Run `test` with a proxy, and see that it leaves no task, no connection and no socket."""

    async def main() -> None:
        async with echo_server() as echo:
            before = asyncio.all_tasks()
            async with FaultProxy("127.0.0.1", echo.port, *faults, **options) as proxy:
                async with asyncio.timeout(10):
                    await test(proxy, echo)
            await echo.all_closed()
            await asyncio.sleep(0.001)
            assert asyncio.all_tasks() == before

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


async def connect(proxy: FaultProxy) -> Connection:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def ask(connection: Connection, data: bytes = b"ping") -> bytes:
    reader, writer = connection
    writer.write(data)
    await writer.drain()
    return await reader.readexactly(len(data))


async def hangs(awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
    """The task of `awaitable`, which does not end while there is nothing wrong with the machine."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done
    return task


def close(*connections: Connection) -> None:
    for _, writer in connections:
        writer.close()


def test_without_a_fault_it_forwards_both_ways():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        one, two = await connect(proxy), await connect(proxy)
        assert await ask(one) == b"ping"
        assert await ask(two, b"x" * 1_000_000) == b"x" * 1_000_000
        assert proxy.connections == 2
        close(one, two)

    proxied(test)


def test_an_end_of_file_passes_and_the_other_way_stays_open():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        reader, writer = await connect(proxy)
        writer.write(b"last words")
        writer.write_eof()
        assert await reader.read() == b"last words"
        writer.close()

    proxied(test)


def test_latency_makes_old_and_new_connections_late():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        old = await connect(proxy)
        assert await ask(old) == b"ping"
        proxy.fault = Latency(0.02)
        new = await connect(proxy)
        for connection in (old, new):
            began = time.monotonic()
            assert await ask(connection) == b"ping"
            assert time.monotonic() - began >= 0.04  # there and back
        proxy.fault = None
        assert await ask(old) == b"ping"
        close(old, new)

    proxied(test)


def test_a_hang_lets_nothing_pass_and_everything_once_it_ends():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        old = await connect(proxy)
        assert await ask(old) == b"ping"
        proxy.fault = Hang()
        new = await connect(proxy)
        waiting = [await hangs(ask(old)), await hangs(ask(new))]
        proxy.fault = None
        assert await asyncio.gather(*waiting) == [b"ping", b"ping"]
        close(old, new)

    proxied(test)


def test_during_a_hang_the_servers_goodbye_does_not_pass_either():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        reader, writer = await connect(proxy)
        assert await ask((reader, writer)) == b"ping"
        proxy.fault = Hang()
        echo.writers[0].close()
        waiting = await hangs(reader.read())
        proxy.fault = None
        assert await waiting == b""
        writer.close()

    proxied(test)


def test_a_cut_with_reset_is_seen_as_connection_reset():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        connection = await connect(proxy)
        assert await ask(connection) == b"ping"
        proxy.cut(reset=True)
        with pytest.raises(ConnectionResetError):
            await connection[0].read()
        again = await connect(proxy)
        assert await ask(again) == b"ping"
        close(connection, again)

    proxied(test)


def test_a_cut_without_reset_is_seen_as_an_end():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        connection = await connect(proxy)
        assert await ask(connection) == b"ping"
        proxy.cut()
        assert await connection[0].read() == b""
        close(connection)

    proxied(test)


@pytest.mark.parametrize("fault", [Reset(), Failure()])
def test_a_standing_reset_or_failure_ends_old_connections(fault):
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        connection = await connect(proxy)
        assert await ask(connection) == b"ping"
        proxy.fault = fault
        if isinstance(fault, Reset):
            with pytest.raises(ConnectionResetError):
                await connection[0].read()
        else:
            assert await connection[0].read() == b""
        close(connection)

    proxied(test)


@pytest.mark.parametrize("fault", [Reset(), Failure()])
def test_a_standing_reset_or_failure_holds_for_new_connections(fault):
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        proxy.fault = fault
        connection = await connect(proxy)
        with pytest.raises(ConnectionResetError if isinstance(fault, Reset) else asyncio.IncompleteReadError):
            await ask(connection)
        close(connection)

    proxied(test)


def test_it_refuses_and_accepts_again_on_the_same_port():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        port = proxy.port
        connection = await connect(proxy)
        assert await ask(connection) == b"ping"
        for _ in range(3):
            await proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                await connect(proxy)
            await proxy.refuse()
            await proxy.accept()
            await proxy.accept()
        assert proxy.port == port
        with pytest.raises(ConnectionResetError):
            await connection[0].read()
        again = await connect(proxy)
        assert await ask(again) == b"ping"
        close(connection, again)

    proxied(test)


def test_a_script_gives_each_new_connection_its_fault():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        reset, fine, failed, late, hung = [await connect(proxy) for _ in range(5)]
        with pytest.raises(ConnectionResetError):
            await ask(reset)
        assert await ask(fine) == b"ping"
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(failed)
        began = time.monotonic()
        assert await ask(late) == b"ping"
        assert time.monotonic() - began >= 0.02
        waiting = await hangs(ask(hung))
        waiting.cancel()
        close(reset, fine, failed, late, hung)

    proxied(test, script=[Reset(), None, Failure(), Latency(0.01), Hang()])


def test_a_hang_of_one_connection_ends_as_reset():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        connection = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await ask(connection)
        close(connection)
        await echo.all_closed()

    proxied(test, Hang(0.02))


@pytest.mark.parametrize("fault", [Reset(), Failure()])
def test_a_fault_that_ends_a_connection_ends_it_at_the_server_too(fault):
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        connection = await connect(proxy)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await ask(connection)
        await echo.all_closed()
        close(connection)

    proxied(test, fault)


def test_a_server_that_dies_during_a_hang_leaves_no_task():
    async def test(proxy: FaultProxy, echo: Echo) -> None:
        connection = await connect(proxy)
        waiting = await hangs(ask(connection))
        echo.writers[0].transport.abort()
        await asyncio.sleep(0.01)
        waiting.cancel()
        close(connection)

    proxied(test, Hang())


def test_leaving_it_ends_all_connections():
    left_open: list[Connection] = []

    async def test(proxy: FaultProxy, echo: Echo) -> None:
        left_open.append(await connect(proxy))
        assert await ask(left_open[0]) == b"ping"

    async def main() -> None:
        async with echo_server() as echo:
            async with FaultProxy("127.0.0.1", echo.port) as proxy:
                await test(proxy, echo)
            [(reader, writer)] = left_open
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(main())


def test_a_server_that_is_not_there_is_seen_as_reset():
    async def main() -> None:
        async with echo_server() as echo:
            port = echo.port
        async with FaultProxy("127.0.0.1", port) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(main())
