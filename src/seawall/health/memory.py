"""How much memory this process may still use: of its control group, or of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What there is, in bytes. limited: whether a control group, and not the machine, sets `total`."""

    available: int
    total: int
    limited: bool


@dataclass(frozen=True, kw_only=True)
class _Controller:
    """The files of one version of control groups. inactive: the field of memory.stat that says what can be had back."""

    mount: str
    limit: str
    usage: str
    inactive: str


_V2 = _Controller(mount="sys/fs/cgroup", limit="memory.max", usage="memory.current", inactive="inactive_file")
_V1 = _Controller(
    mount="sys/fs/cgroup/memory",
    limit="memory.limit_in_bytes",
    usage="memory.usage_in_bytes",
    inactive="total_inactive_file",
)


def measure(root: Path = ROOT) -> Memory | None:
    """The memory of the control group that leaves least, else of the machine; None where Linux's files are missing."""
    machine = _machine(root)
    limited = [
        memory
        for controller, group in _groups(root)
        if (memory := _group(root / controller.mount / group, controller)) is not None
        # A limit above what the machine has is none; version 1 writes a huge number for no limit.
        and (machine is None or memory.total < machine.total)
    ]
    return min(limited, key=lambda memory: memory.available / memory.total, default=machine)


def _machine(root: Path) -> Memory | None:
    fields = _fields(root / "proc/meminfo")
    try:
        total, available = fields["MemTotal:"] * 1024, fields["MemAvailable:"] * 1024
    except KeyError:
        return None
    return Memory(available=available, total=total, limited=False) if total else None


def _groups(root: Path) -> Iterator[tuple[_Controller, str]]:
    """The control groups this process is in, from its own to the root of each hierarchy: limits hold for all below."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            controller = _V1
        elif number == "0":
            controller = _V2
        else:
            continue
        own = PurePosixPath("/", path).relative_to("/")
        # Within a container the path can be the host's and lead nowhere, while the root is the container's.
        for group in (own, *own.parents):
            yield controller, str(group)


def _group(directory: Path, controller: _Controller) -> Memory | None:
    try:
        limit = int(_text(directory / controller.limit))
        usage = int(_text(directory / controller.usage))
    except ValueError:  # no such file, or "max"
        return None
    if limit <= 0:
        return None
    # Pages of files that nobody used lately are given back before anything is killed.
    used = max(0, usage - _fields(directory / "memory.stat").get(controller.inactive, 0))
    return Memory(available=max(0, limit - used), total=limit, limited=True)


def _fields(file: Path) -> dict[str, int]:
    lines = (line.split() for line in _text(file).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
