"""Starting, steering and ending the stub process, with the standard library alone."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from podcasts.stubs.faults import Kind

CONTROL_TIMEOUT = 5.0
"""Seconds for one call to the control API, which answers in milliseconds."""
TERMINATE_TIMEOUT = 3.0
"""Seconds the process has to end by itself before it is killed."""

# Without a proxy, whatever the environment says: the stubs are on this machine.
_opener = build_opener(ProxyHandler({}))


class StubsError(Exception):
    """The stub process did not start, or its control API refused a call."""


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
    `StubsError`, with what the process wrote to standard error, if it does not listen within `start_timeout`. The
    process ends with the block whatever happens in it, and by itself if this process dies.
    """
    examples = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (examples, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-m", "podcasts.stubs", "--until-stdin-closes", f"--latency={latency}", f"--seed={seed}"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - this interpreter with these arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        ) as process,
    ):
        try:
            addresses = _addresses(process, errors, start_timeout)
            yield Stubs(control=addresses["control"], providers=addresses["providers"], process=process)
        finally:
            _end(process)


def _addresses(process: subprocess.Popen[bytes], errors: IO[bytes], timeout: float) -> dict[str, Any]:
    """Return the line of JSON that the process prints; a thread reads it, because a pipe has no portable timeout."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda stdout: lines.append(stdout.readline()), args=(process.stdout,))
    reader.start()
    reader.join(timeout)
    if reader.is_alive() or not lines[0]:
        _end(process)
        reader.join()
        errors.seek(0)
        written = errors.read().decode(errors="replace").strip() or "nothing"
        message = f"stubs did not listen within {timeout} s (exit code {process.returncode}); standard error: {written}"
        raise StubsError(message)
    addresses: dict[str, Any] = json.loads(lines[0])
    return addresses


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TERMINATE_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
