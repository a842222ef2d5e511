"""The stub process: every provider, the control API, and an end when it is told to."""

import asyncio
import json
import os
import signal
import sys
import threading

from podcasts.stubs.control import control_application
from podcasts.stubs.listener import Listener
from podcasts.stubs.providers import all_providers
from podcasts.stubs.server import ProviderServer


async def serve(*, latency: float, seed: int, until_stdin_closes: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends if `until_stdin_closes`.

    Prints one line of JSON with the addresses, `control` and `providers`, once every port listens. `latency` is in
    seconds. Requests in flight at the end are dropped.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(loop, ended), daemon=True).start()
    servers = {provider.name: ProviderServer(provider, latency=latency, seed=seed) for provider in all_providers()}
    control = Listener(control_application(servers))
    listeners = [control, *(server.listener for server in servers.values())]
    try:
        for listener in listeners:
            await listener.open()
        addresses = {name: server.listener.url for name, server in servers.items()}
        sys.stdout.write(json.dumps({"control": control.url, "providers": addresses}) + "\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        for listener in listeners:
            listener.stop()


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    # `os.read`, not `sys.stdin`: a thread inside the buffered reader would abort the interpreter at its exit.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(ended.set)
