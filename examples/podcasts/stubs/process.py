"""The stub process: every provider, the control API, and an end when it is told to."""

from podcasts.child import announce, end_asked
from podcasts.stubs.control import control_application
from podcasts.stubs.listener import Listener
from podcasts.stubs.providers import all_providers
from podcasts.stubs.server import ProviderServer


async def serve(*, latency: float, seed: int, until_stdin_closes: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends if `until_stdin_closes`.

    Prints one line of JSON with the addresses, `control` and `providers`, once every port listens. `latency` is in
    seconds. Requests in flight at the end are dropped.
    """
    ended = end_asked(until_stdin_closes=until_stdin_closes)
    servers = {provider.name: ProviderServer(provider, latency=latency, seed=seed) for provider in all_providers()}
    control = Listener(control_application(servers))
    listeners = [control, *(server.listener for server in servers.values())]
    try:
        for listener in listeners:
            await listener.open()
        addresses = {name: server.listener.url for name, server in servers.items()}
        announce({"control": control.url, "providers": addresses})
        await ended.wait()
    finally:
        for listener in listeners:
            listener.stop()
