"""`python -m podcasts`: serve the podcast service on 127.0.0.1 until told to end."""

import argparse
import asyncio
import socket

import uvicorn

from podcasts.app import create
from podcasts.child import announce, end_asked
from podcasts.config import ConfigError
from seawall.settings import SettingsError

KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than callers keep one, or a request may meet its end under way."""


async def serve(*, port: int, until_stdin_closes: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends; prints one line of JSON with the address."""
    # With the protocol named, asyncio switches Nagle's algorithm off; without, answers wait 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            create(), log_config=None, lifespan="on", timeout_graceful_shutdown=2, timeout_keep_alive=KEEP_ALIVE
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has only a flag
            await asyncio.sleep(0.01)
        # uvicorn handles signals of its own until here; from now on ours ask it to end.
        ended = end_asked(until_stdin_closes=until_stdin_closes)
        asking = asyncio.create_task(ended.wait())
        if server.started:
            announce({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"})
        await asyncio.wait({serving, asking}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        asking.cancel()
        await serving


parser = argparse.ArgumentParser(prog="python -m podcasts", description=__doc__)
parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1, 0 for a free one (default 8000)")
parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input ends")

if __name__ == "__main__":
    options = parser.parse_args()
    try:
        asyncio.run(serve(port=options.port, until_stdin_closes=options.until_stdin_closes))
    except (SettingsError, ConfigError) as error:
        parser.error(str(error))
    except (OSError, OverflowError) as error:
        parser.error(f"port {options.port} can't be used: {error}")
