"""What the process and its machine use: CPU, memory, files, garbage collection, and how late the event loop runs."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from seawall.telemetry import catalogue
from seawall.telemetry.metrics import Metrics

PERIOD = 0.25
"""Seconds between two looks at how late the event loop is."""


class ProcessMetrics:
    """Measures this process; use it with `with`. How late the event loop is, only where it is entered on one."""

    def __init__(self, metrics: Metrics) -> None:
        self._cpu = metrics.declare(catalogue.PROCESS_CPU).labels()
        self._memory = metrics.declare(catalogue.PROCESS_MEMORY).labels()
        self._files = metrics.declare(catalogue.PROCESS_FILES).labels()
        self._most_files = metrics.declare(catalogue.PROCESS_MOST_FILES).labels()
        self._processes = metrics.declare(catalogue.PROCESSES).labels()
        self._lag = metrics.declare(catalogue.LOOP_LAG).labels()
        self._gc_seconds = metrics.declare(catalogue.GC_SECONDS).labels()
        self._gc_runs = [metrics.declare(catalogue.GC_RUNS).labels(generation) for generation in range(3)]
        self._system_cpu = metrics.declare(catalogue.SYSTEM_CPU).labels()
        self._since = metrics.declare(catalogue.PROCESS_STARTED).labels()
        self._since.set(_started())
        self._busy = _system_times()
        self._gc_began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        metrics.before_scrape(self.refresh)

    def __enter__(self) -> ProcessMetrics:
        self._processes.set(1)
        self._since.set(_started())  # it may have been forked off
        self.measure()
        gc.callbacks.append(self._collected)
        with suppress(RuntimeError):  # a worker that runs jobs without any
            loop = asyncio.get_running_loop()
            self._due = loop.time() + PERIOD
            self._timer = loop.call_at(self._due, self._look, loop)
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.set(0)
        gc.callbacks.remove(self._collected)
        if self._timer is not None:
            self._timer.cancel()

    def refresh(self) -> None:
        """Look at what isn't counted as it happens."""
        self.measure()
        idle, total = _system_times()
        before_idle, before_total = self._busy
        if total > before_total:
            self._system_cpu.set(1.0 - (idle - before_idle) / (total - before_total))
            self._busy = (idle, total)

    def measure(self) -> None:
        """Look at this process alone, and at nothing that another may look at later."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu.mirror(usage.ru_utime + usage.ru_stime)
        self._memory.set(_resident(usage.ru_maxrss))
        self._most_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        try:
            self._files.set(len(os.listdir("/proc/self/fd")))
        except OSError:
            self._files.set(float("nan"))

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._lag.observe(max(0.0, now - self._due))
        self._due = now + PERIOD
        self._timer = loop.call_at(self._due, self._look, loop)

    def _collected(self, phase: str, about: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_began = time.perf_counter()
        else:
            self._gc_seconds.inc(time.perf_counter() - self._gc_began)
            self._gc_runs[about["generation"]].inc()


def _started() -> float:
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return time.time()


def _resident(peak: int) -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):
        return peak * (1.0 if sys.platform == "darwin" else 1024.0)  # the most it ever was


def _system_times() -> tuple[int, int]:
    """The machine's idle time and all of its time so far, in ticks; 0 and 0 where that isn't told."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0, 0
    times = [int(part) for part in first]
    return times[3] + times[4], sum(times)
