"""Disk, memory, and keys."""

import asyncio
import shutil
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from seawall.core import Health, OptionError, Status
from seawall.health import Check, HealthChecks, configured_keys, disk_space, memory_space
from seawall.health.memory import Memory, measure

GIB = 2**30
Usage = namedtuple("Usage", "total used free")
HUGE = 9223372036854771712


@pytest.fixture
def disks(monkeypatch):
    """Disks of 100 GiB by path: the share that is free, or the error of looking at it."""
    shares: dict[str, Any] = {}

    def usage(path: str) -> Usage:
        if isinstance(shares[path], Exception):
            raise shares[path]
        return Usage(100 * GIB, 0, int(100 * GIB * shares[path]))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return shares


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (0.5, "healthy"),
        (0.15, "healthy"),
        (0.149, "degraded"),
        (0.10, "degraded"),
        (0.099, "unhealthy"),
        (0, "unhealthy"),
    ],
)
def test_disk_is_judged_by_what_is_free(disks, free, status):
    disks["/"] = free
    assert disk_space("/")().status == status


def test_disk_tells_how_much_is_free(disks):
    disks["/"] = 0.0999
    assert disk_space("/")() == Health(status=Status.UNHEALTHY, message="/ has 9.9 % (10.0 of 100.0 GiB) free")


def test_each_disk_is_told_and_the_worst_counts(disks):
    disks |= {"/": 0.5, "/data": 0.12, "/gone": PermissionError("/gone/secret")}
    health = disk_space("/", "/data", "/gone")()
    assert health.status is Status.UNHEALTHY
    assert health.message == "/data has 12 % (12.0 of 100.0 GiB) free, /gone can't be looked at: PermissionError"
    assert [each.status for each in health.checks.values()] == ["healthy", "degraded", "unhealthy"]


def test_bounds_are_configured(disks):
    disks["/"] = 0.3
    assert disk_space("/", degraded_below=0.5, unhealthy_below=0.2)().status is Status.DEGRADED
    assert disk_space("/", degraded_below=0.5, unhealthy_below=0.4)().status is Status.UNHEALTHY


def test_a_real_disk_has_a_size(tmp_path):
    message = disk_space(tmp_path, degraded_below=0, unhealthy_below=0)().message
    assert message.startswith(f"{tmp_path} has ")
    assert message.endswith("GiB) free")


def test_a_real_directory_that_is_missing_is_unhealthy(tmp_path):
    assert disk_space(tmp_path / "none")().status is Status.UNHEALTHY


@pytest.mark.parametrize(
    "options", [{"degraded_below": 1.5}, {"unhealthy_below": -0.1}, {"degraded_below": 0.2, "unhealthy_below": 0.3}]
)
def test_impossible_bounds_are_refused(options):
    with pytest.raises(OptionError, match="below"):
        disk_space("/", **options)
    with pytest.raises(OptionError, match="below"):
        memory_space(**options)


def test_no_path_is_refused():
    with pytest.raises(OptionError, match="at least one path"):
        disk_space()


def write(root: Path, files: Mapping[str, object]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))


MACHINE = {"proc/meminfo": "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\nHugePages_Total: 0\n"}
KIB = 1024
V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        pytest.param({}, (400, 1000, False), id="no control groups"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/\n",
                f"{V2}/memory.max": 500 * KIB,
                f"{V2}/memory.current": 450 * KIB,
                f"{V2}/memory.stat": f"anon 1\ninactive_file {100 * KIB}\n",
            },
            (150, 500, True),
            id="version 2 in a container",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n", f"{V2}/memory.current": 450 * KIB},
            (400, 1000, False),
            id="version 2 without a limit",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/app.slice/app.service\n",
                f"{V2}/app.slice/app.service/memory.max": 500 * KIB,
                f"{V2}/app.slice/app.service/memory.current": 100 * KIB,
                f"{V2}/app.slice/memory.max": 800 * KIB,
                f"{V2}/app.slice/memory.current": 760 * KIB,
            },
            (40, 800, True),
            id="the group above leaves less",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu:/x\n4:hugetlb,memory:/docker/abc\n0::/docker/abc\n",
                f"{V1}/memory.limit_in_bytes": 200 * KIB,
                f"{V1}/memory.usage_in_bytes": 190 * KIB,
                f"{V1}/memory.stat": f"inactive_file 1\ntotal_inactive_file {10 * KIB}\n",
            },
            (20, 200, True),
            id="version 1 in a container, whose path is the host's",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/\n",
                f"{V1}/memory.limit_in_bytes": HUGE,
                f"{V1}/memory.usage_in_bytes": 190 * KIB,
            },
            (400, 1000, False),
            id="version 1 without a limit",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": 10 * KIB, f"{V2}/memory.current": 20 * KIB},
            (0, 10, True),
            id="over the limit",
        ),
        pytest.param({"proc/self/cgroup": "nonsense\n\n0:\n"}, (400, 1000, False), id="nonsense"),
    ],
)
def test_memory_is_that_of_the_tightest_group(tmp_path, files, memory):
    write(tmp_path, MACHINE | files)
    available, total, limited = memory
    assert measure(tmp_path) == Memory(available=available * KIB, total=total * KIB, limited=limited)


@pytest.mark.parametrize("files", [{}, {"proc/meminfo": "MemTotal: 0 kB\nMemAvailable: 0 kB\n"}])
def test_memory_of_another_system_is_unknown(tmp_path, files):
    write(tmp_path, files)
    assert measure(tmp_path) is None


def memory_check(monkeypatch, memory: Memory | None) -> Health:
    monkeypatch.setattr("seawall.health.system.measure", lambda: memory)
    return memory_space()()


@pytest.mark.parametrize(
    ("available", "status"), [(10, "healthy"), (9.9, "degraded"), (5, "degraded"), (4.9, "unhealthy"), (0, "unhealthy")]
)
def test_memory_is_judged_by_what_is_available(monkeypatch, available, status):
    memory = Memory(available=int(available * GIB), total=100 * GIB, limited=True)
    health = memory_check(monkeypatch, memory)
    assert health.status == status
    assert health.message.startswith("the control group has ")


def test_unknown_memory_is_healthy_and_says_so(monkeypatch):
    assert memory_check(monkeypatch, None) == Health(status=Status.HEALTHY, message="unknown on this system")


def test_keys_that_are_missing_are_named_and_no_key_is_told():
    key = "sk-very-secret"
    check = configured_keys({"openai": key, "anthropic": None, "stripe": "", "sendgrid": "  "})
    report = asyncio.run(HealthChecks([Check("providers", check)]).run())
    health = report.findings["providers"].health
    assert (health.status, health.message) == (Status.DEGRADED, "not set: anthropic, stripe, sendgrid")
    assert [each.message for each in health.checks.values()] == ["set", "not set", "not set", "not set"]
    assert key not in repr((report, check, check.__closure__, [cell.cell_contents for cell in check.__closure__ or ()]))


def test_all_keys_set_is_healthy():
    health = asyncio.run(HealthChecks([Check("providers", configured_keys({"openai": "sk"}))]).run())
    assert health.status is Status.HEALTHY
