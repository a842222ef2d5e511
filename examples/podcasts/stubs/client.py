"""Starting, steering and ending the stub process, with the standard library alone."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from podcasts.child import child
from podcasts.stubs.faults import Kind

CONTROL_TIMEOUT = 5.0
"""Seconds for one call to the control API, which answers in milliseconds."""

# Without a proxy, whatever the environment says: the stubs are on this machine.
_opener = build_opener(ProxyHandler({}))


class StubsError(Exception):
    """The control API refused a call."""


@dataclass(frozen=True, kw_only=True)
class Stubs:
    """A running stub process.

    Every method is one short blocking call over loopback, fit for tests and demos; from a service's event loop, use
    `asyncio.to_thread`. Each raises `StubsError` when the control API refuses, with its reason.
    """

    control: str
    providers: Mapping[str, str]
    process: subprocess.Popen[bytes]

    def fault(self, provider: str, kind: Kind, **options: float | None) -> None:
        """Make `provider` fail from now on, in place of its present fault; `Fault` tells the options of each kind."""
        self._call("PUT", f"/faults/{provider}", {"kind": kind, **options})

    def clear(self, provider: str | None = None) -> None:
        """Make `provider` healthy again, or all of them."""
        self._call("DELETE", f"/faults/{provider}" if provider else "/faults")

    def faults(self) -> dict[str, dict[str, Any] | None]:
        """Return the fault of each provider, None for a healthy one."""
        faults: dict[str, dict[str, Any] | None] = self._call("GET", "/faults")
        return faults

    def requests(self) -> dict[str, dict[str, Any]]:
        """Return the counters of each provider: `received`, `answered`, `faulted`, `abandoned` and `in_flight`."""
        counters: dict[str, dict[str, Any]] = self._call("GET", "/requests")
        return counters

    def zero_requests(self) -> None:
        """Set the counters of all providers to zero, except `in_flight`."""
        self._call("DELETE", "/requests")

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.control + path, data, method=method)  # noqa: S310 - always http, on this machine
        try:
            with _opener.open(request, timeout=CONTROL_TIMEOUT) as response:
                answer = response.read()
        except HTTPError as error:
            with error:
                message = f"stubs refused {method} {path}: {error.code} {error.read().decode(errors='replace')}"
            raise StubsError(message) from None
        return json.loads(answer) if answer else None


@contextmanager
def start_stubs(*, latency: float = 0.02, seed: int = 0, start_timeout: float = 20.0) -> Iterator[Stubs]:
    """Run the stubs in a process of their own for the duration of the `with` block.

    `latency` and `start_timeout` are in seconds; `seed` fixes the jitter and which requests a fault strikes. Raises
    `ChildError`, with what the process wrote to standard error, if it does not listen within `start_timeout`. The
    process ends with the block whatever happens in it, and by itself if this process dies.
    """
    arguments = ["podcasts.stubs", "--until-stdin-closes", f"--latency={latency}", f"--seed={seed}"]
    with child(arguments, start_timeout=start_timeout) as (process, addresses):
        yield Stubs(control=addresses["control"], providers=addresses["providers"], process=process)
