"""A layer around a FastAPI app, served by uvicorn: a child of the scenarios.

`python -m bench.server <peer module> <folder> <sink>`. It says its port and what the layer claims. Command: `cpu`.
"""

import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import uvicorn

from bench.children import Parent
from bench.registry import find
from bench.requests_shape import Layered, Place, fastapi_app


def main(path: str, folder: str, sink: str) -> None:
    """Serve until the parent is gone."""
    parent = Parent()
    warnings.simplefilter("ignore")
    # With its protocol named, or asyncio would not turn Nagle's delay off, as it does for a server it opens itself.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    place = Place(folder=Path(folder), sink=sink)

    def make() -> Any:
        peer = find(path)
        if first := getattr(peer, "first", None):
            first(place)
        layered: Layered = peer.fastapi(fastapi_app(), place)
        claims = {one.name: getattr(layered, one.name) for one in fields(layered) if one.name != "app"}
        flush = claims.pop("flush")
        threading.Thread(target=_obey, args=(parent, listening.getsockname()[1], claims, flush), daemon=True).start()
        return layered.app

    # A factory, so that uvicorn has set up its logging before a layer sets up its own, as on the command line.
    config = uvicorn.Config(make, factory=True, loop="asyncio", access_log=False, log_level="warning")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except BaseException as error:  # noqa: BLE001  the scenario writes it into the table
        parent.fail(error)
    os._exit(1)


def _obey(parent: Parent, port: int, claims: dict[str, Any], flush: Callable[[], object]) -> None:
    parent.say({"port": port, "claims": claims})
    for _ in parent:
        flush()  # so that it is of this turn
        parent.say(time.process_time())
    os._exit(0)  # nobody waits for what a peer has left


if __name__ == "__main__":
    main(*sys.argv[1:])
