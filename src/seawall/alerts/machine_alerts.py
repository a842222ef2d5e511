"""Alerts on the process and its machine."""

from __future__ import annotations

from seawall.alerts.options import Thresholds
from seawall.alerts.promql import equal
from seawall.alerts.rule import NUMBER, PERCENT, Alert, Case, Group, Severity, Shown, percentage
from seawall.alerts.traffic import constant, spread, steady

_INSTANCE = "a:8000"


def resources_group(service: str, limits: Thresholds) -> Group:
    """CPU, memory, disk, folders, open files, the event loop, and what is lost of logs and metrics."""
    return Group(
        name="resources",
        title="Resources",
        alerts=(*_machine(service, limits), *_folders(service), *_process(service, limits), *_lost(service)),
    )


def _machine(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    job = equal("job", service)
    where = f'{job},instance="{_INSTANCE}"'
    labels = {"job": service, "instance": _INSTANCE}

    def cases(metric: str, bad: float, good: float, **more: str) -> tuple[Case, Case]:
        matchers = ",".join([where, *(equal(name, value) for name, value in more.items())])
        series = f"{metric}{{{matchers}}}"
        shown = (Shown(value=bad, labels=labels | more),)
        return (
            Case(name=percentage(bad), series={series: constant(bad)}, shown=shown),
            Case(name=percentage(good), series={series: constant(good)}),
        )

    return (
        Alert(
            name="CpuHigh",
            expression=f"avg_over_time(system_cpu_used_ratio{{{job}}}[5m]) > {limits.cpu:g}",
            held=600,
            severity=Severity.TICKET,
            summary=f"The machine of {service} ({{{{ $labels.instance }}}}) is busy",
            description=f"{PERCENT} of its CPU time is in use; above {percentage(limits.cpu)} requests begin to wait. "
            "See what uses it.",
            meaning=f"More than {percentage(limits.cpu)} of the machine's CPU time was in use for a while.",
            action="See which process it is. If it is the service: profile it, or add processes or machines.",
            cases=cases("system_cpu_used_ratio", (1 + limits.cpu) / 2, limits.cpu * 0.9),
        ),
        Alert(
            name="MemoryHigh",
            expression=f"system_memory_used_ratio{{{job}}} > {limits.memory:g}",
            held=300,
            severity=Severity.PAGE,
            summary=f"The machine of {service} ({{{{ $labels.instance }}}}) is short of memory",
            description=f"{PERCENT} of its memory is in use; when it is full, processes are killed. "
            "See which one grows.",
            meaning=f"More than {percentage(limits.memory)} of the machine's memory, or of the container's limit, "
            "is in use.",
            action="See `process_resident_memory_bytes` on the dashboard. If it grows without end, restart the "
            "process and look for the leak; if not, give it more or make its caches smaller.",
            cases=cases("system_memory_used_ratio", (1 + limits.memory) / 2, limits.memory),
        ),
        Alert(
            name="DiskLow",
            expression=f"system_disk_free_ratio{{{job}}} < {limits.disk_free:g}",
            held=300,
            severity=Severity.PAGE,
            summary=f"The disk {{{{ $labels.path }}}} of {service} ({{{{ $labels.instance }}}}) is nearly full",
            description=f"{PERCENT} of it is free; below {percentage(limits.disk_free)} there is little time. "
            "See what fills it.",
            meaning=f"Less than {percentage(limits.disk_free)} of a disk is free.",
            action="Remove old logs, uploads and database files that nobody needs, then see why they were kept.",
            cases=cases("system_disk_free_ratio", limits.disk_free / 2, limits.disk_free, path="/"),
        ),
    )


def _folders(service: str) -> tuple[Alert, ...]:
    job = equal("job", service)
    series = f'files_failed_total{{{job},instance="{_INSTANCE}",folder="uploads"}}'
    labels = {"job": service, "instance": _INSTANCE, "folder": "uploads"}
    return (
        Alert(
            name="FilesNotRemoved",
            expression=f"changes(files_failed_total{{{job}}}[1d]) >= 2",
            held=300,
            severity=Severity.TICKET,
            summary=f"{service} on {{{{ $labels.instance }}}} can't clear its folder {{{{ $labels.folder }}}}",
            description=f"{NUMBER} sweeps within 1d left entries that could be neither judged nor removed. "
            "See the log for why.",
            meaning="Sweeping a folder failed for some of its entries, or for all of it, more than once in a day.",
            action="The log's warning `folder … swept` says which error it was: mostly rights, or a file system that "
            "may only be read.",
            cases=(
                Case(
                    name="three sweeps of a day", series={series: "0x9 4x9 8x9 12x40"},
                    shown=(Shown(value=3.0, labels=labels),),
                ),
                Case(name="one sweep", series={series: "0x9 4x60"}),
                Case(name="failed long ago", series={series: constant(20)}),
            ),
        ),
    )  # fmt: skip


def _process(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    job = equal("job", service)
    where = f'{job},instance="{_INSTANCE}"'
    late, files = limits.event_loop_lag, limits.open_files

    def opened(share: float) -> dict[str, str]:
        return {
            f"process_open_fds{{{where}}}": constant(share * 1_000),
            f"process_max_fds{{{where}}}": constant(1_000),
        }

    return (
        Alert(
            name="EventLoopLate",
            expression=(
                "histogram_quantile(\n  0.99,\n  sum by (instance, le) (rate(event_loop_lag_seconds_bucket"
                f"{{{job}}}[5m]))\n)\n> {late:g}"
            ),
            held=300,
            severity=Severity.TICKET,
            summary=f"The event loop of {service} on {{{{ $labels.instance }}}} is late",
            description=f"What is due runs {NUMBER} s late (99th percentile); above {late:g} s every request suffers. "
            "See what blocks the loop.",
            meaning="Something runs on the event loop without giving way: a blocking call, or heavy computation.",
            action="Take a profile of the process. Move what blocks into a thread (`asyncio.to_thread`).",
            cases=(
                Case(
                    name="late",
                    series=spread("event_loop_lag_seconds", where, late, late * 2),
                    shown=(Shown(value=late * 1.99, labels={"instance": _INSTANCE}),),
                ),
                Case(name="in time", series=spread("event_loop_lag_seconds", where, late / 10, late / 5)),
            ),
        ),
        Alert(
            name="OpenFilesMany",
            expression=f"process_open_fds{{{job}}} / process_max_fds{{{job}}} > {files:g}",
            held=300,
            severity=Severity.PAGE,
            summary=f"{service} on {{{{ $labels.instance }}}} has nearly as many open files as it may",
            description=f"{PERCENT} of the file descriptors it may have are open; without one no connection can be "
            "accepted. See what they are.",
            meaning=f"More than {percentage(files)} of the file descriptors are in use; sockets are among them.",
            action="See `ls -l /proc/<pid>/fd`. Raise the limit if it is load; otherwise something is not closed.",
            cases=(
                Case(
                    name="many",
                    series=opened((1 + files) / 2),
                    shown=(Shown(value=(1 + files) / 2, labels={"job": service, "instance": _INSTANCE}),),
                ),
                Case(name="few", series=opened(files / 2)),
            ),
        ),
    )


def _lost(service: str) -> tuple[Alert, ...]:
    job = equal("job", service)
    where = f'{job},instance="{_INSTANCE}"'
    labels = {"job": service, "instance": _INSTANCE}

    def cases(metric: str) -> tuple[Case, Case]:
        series = f"{metric}{{{where}}}"
        shown = (Shown(value=300.0, labels=labels),)
        return (
            Case(name="some are lost", series={series: steady(30)}, shown=shown),
            Case(name="some were lost before", series={series: constant(30)}),
        )

    return (
        Alert(
            name="LogLinesDropped",
            expression=f"increase(log_lines_dropped_total{{{job}}}[10m]) > 0",
            held=60,
            severity=Severity.TICKET,
            summary=f"{service} on {{{{ $labels.instance }}}} loses log lines",
            description=f"{NUMBER} lines were dropped within 10m, since their output stalled or failed. "
            "See who reads the log.",
            meaning="The output of the log took no more lines, and requests don't wait for it.",
            action="See whether the disk is full, or whoever reads standard output hangs.",
            cases=cases("log_lines_dropped_total"),
        ),
        Alert(
            name="MetricsSeriesRefused",
            expression=f"increase(metrics_series_refused_total{{{job}}}[10m]) > 0",
            held=60,
            severity=Severity.TICKET,
            summary=f"A metric of {service} on {{{{ $labels.instance }}}} has too many label values",
            description=f"{NUMBER} times within 10m something was counted as (other). See which metric has it.",
            meaning="A metric has as many series as it may; what came after is counted together, as `(other)`.",
            action="Find the metric that has a series `(other)`. A label must not be an id, a name or a path.",
            cases=cases("metrics_series_refused_total"),
        ),
    )
