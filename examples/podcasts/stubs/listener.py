"""One loopback port that can refuse connections, take them again, and reset a single one."""

import asyncio
import contextlib
import socket
import struct

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

HOST = "127.0.0.1"
KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than any SDK keeps one, so that the server is never first to close."""

_LINGER_NONE = struct.pack("ii", 1, 0)


class Listener:
    """Serves an ASGI application on a free port of 127.0.0.1 and keeps that port for its lifetime.

    uvicorn's protocol parses HTTP; its `Server` is not used, because it can neither stop listening and start again
    nor reset one connection. While closed, the port stays bound without listening: the kernel refuses every
    connection, and no other process can take the port.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Bind a free port; `open` starts to accept connections."""
        self._config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, timeout_keep_alive=KEEP_ALIVE
        )
        self._state = ServerState()
        self._bound = _bind(0)
        self._server: asyncio.Server | None = None
        self.port: int = self._bound.getsockname()[1]

    @property
    def url(self) -> str:
        """The address without a trailing slash, such as `http://127.0.0.1:40123`."""
        return f"http://{HOST}:{self.port}"

    async def open(self) -> None:
        """Accept connections. Does nothing when already open."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, sock=self._bound, backlog=1024)

    async def close(self) -> None:
        """Refuse new connections and close idle ones; requests in flight are still answered, then hung up on.

        On return the kernel has sent the end of every idle connection.
        """
        if self._server is not None:
            self._server.close()
            self._server = None
            self._bound = _bind(self.port)
            for connection in list(self._state.connections):
                connection.shutdown()
            await asyncio.sleep(0)  # a transport closes its socket in the next turn of the loop

    def stop(self) -> None:
        """Give the port back and drop every connection, also those with a request in flight."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._bound.close()
        for connection in list(self._state.connections):
            connection.transport.abort()

    def reset(self, client: tuple[str, int]) -> None:
        """Answer the connection from `client` with a TCP reset: closed with no linger, so no orderly end is sent."""
        for connection in list(self._state.connections):
            if isinstance(connection, H11Protocol) and connection.client == client:
                with contextlib.suppress(OSError):  # the client may be gone already
                    transport = connection.transport
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
                connection.transport.abort()

    def _connection(self) -> H11Protocol:
        return H11Protocol(config=self._config, server_state=self._state, app_state={})


def _bind(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only on sockets that name TCP; with it on, a body waits 40 ms for its head.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
