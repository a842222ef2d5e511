"""Alerts on jobs: those that fail, those that wait, and those that nobody takes."""

from __future__ import annotations

from seawall.alerts.options import Thresholds
from seawall.alerts.promql import equal
from seawall.alerts.rule import NUMBER, PERCENT, Alert, Case, Group, Severity, Shown, percentage
from seawall.alerts.traffic import constant, spread, steady

_JOB = "shop.send_invoice"
_FEWEST = 5
"""Failed runs, below which a share of them tells nothing."""


def jobs_group(service: str, limits: Thresholds) -> Group:
    """Runs that fail, and jobs that wait."""
    return Group(
        name="jobs", title="Jobs", alerts=(_failing(service, limits), _waiting(service, limits), _untaken(service))
    )


def _failing(service: str, limits: Thresholds) -> Alert:
    mine, most = equal("job", service), limits.job_failures
    between = (1.0 + most) / 2
    ended = f'increase(jobs_total{{{mine},state!="retried"}}[15m])'
    failed = f'increase(jobs_total{{{mine},state=~"failed|stopped"}}[15m])'

    def runs(failures: float, others: float) -> dict[str, str]:
        return {
            f'jobs_total{{{mine},job_name="{_JOB}",state="{state}"}}': steady(a_minute)
            for state, a_minute in (("failed", failures), ("succeeded", others))
        }

    return Alert(
        name="JobsFailing",
        expression=(
            f"sum by (job_name) ({failed})\n/\nsum by (job_name) ({ended})\n> {most:g}\n"
            f"and sum by (job_name) ({failed}) >= {_FEWEST}"
        ),
        held=300,
        severity=Severity.TICKET,
        summary="Many runs of the job {{ $labels.job_name }} fail",
        description=f"{PERCENT} of its runs within 15m failed; above {percentage(most)} something is wrong with it. "
        "See its errors in the log.",
        meaning=f"More than {percentage(most)} of the runs of one job failed, or were stopped at their time limit. "
        "Runs that are tried again don't count.",
        action="See the errors that the log has of this job, each with the id of the request that enqueued it. Hand in "
        "again what must not be lost, once the cause is mended.",
        cases=(
            Case(
                name=percentage(between),
                series=runs(10 * between, 10 * (1 - between)),
                shown=(Shown(value=between, labels={"job_name": _JOB}),),
            ),
            Case(name=percentage(most / 2), series=runs(10 * most / 2, 10 * (1 - most / 2))),
            Case(name="few in all", series=runs(0.2, 0.0)),
            Case(
                name="all, after many tries",
                series=runs(1, 0) | {f'jobs_total{{{mine},job_name="{_JOB}",state="retried"}}': steady(10)},
                shown=(Shown(value=1.0, labels={"job_name": _JOB}),),
            ),
        ),
    )


def _waiting(service: str, limits: Thresholds) -> Alert:
    mine, most = equal("job", service), limits.job_wait
    where = f'{mine},job_name="{_JOB}"'
    return Alert(
        name="JobsWait",
        expression=(
            f"histogram_quantile(\n  0.95,\n  sum by (job_name, le) (rate(job_wait_seconds_bucket{{{mine}}}[15m]))\n)\n"
            f"> {most:g}"
        ),
        held=300,
        severity=Severity.TICKET,
        summary="Jobs {{ $labels.job_name }} wait long for a worker",
        description=f"The 95th percentile of their waiting is {NUMBER} s; above {most:g} s there are too few workers. "
        "See what keeps them busy.",
        meaning=f"Jobs waited longer than {most:g} s from when they were enqueued, or due, until a worker began.",
        action="See `job_duration_seconds` for the jobs that take the workers' time; add workers, or give what is slow "
        "a queue of its own.",
        cases=(
            Case(
                name="late",
                series=spread("job_wait_seconds", where, most, most * 2),
                shown=(Shown(value=most * 1.95, labels={"job_name": _JOB}),),
            ),
            Case(name="in time", series=spread("job_wait_seconds", where, most / 10, most / 5)),
        ),
    )


def _untaken(service: str) -> Alert:
    mine = equal("job", service)
    due = f'{mine},job_name="{_JOB}",delayed="false"'

    def jobs(enqueued: str, ended: str | None, active: float) -> dict[str, str]:
        """Those of the service, and of workers that tell of themselves elsewhere."""
        series = {f"jobs_enqueued_total{{{due}}}": enqueued, f"jobs_active{{{mine}}}": constant(active)}
        if ended is not None:
            series[f'jobs_total{{{mine},job_name="{_JOB}",state="succeeded"}}'] = ended
        return series

    return Alert(
        name="JobsNotTaken",
        expression=(
            f'sum(increase(jobs_enqueued_total{{{mine},delayed="false"}}[15m])) > 0\n'
            f"and sum(present_over_time(jobs_total{{{mine}}}[1d])) > 0\n"
            f"unless sum(increase(jobs_total{{{mine}}}[15m])) > 0\n"
            f"unless sum(jobs_active{{{mine}}}) > 0"
        ),
        held=300,
        severity=Severity.PAGE,
        summary=f"No worker takes the jobs of {service}",
        description=f"{NUMBER} jobs were enqueued within 15m, and none has run. See whether the workers run.",
        meaning="Jobs are enqueued that should run at once, but for a while none has ended, nor does any run.",
        action="See whether the workers run, reach the broker, and read the queue that the jobs go to. The jobs are "
        "kept and run once they do.",
        cases=(
            Case(
                name="the workers rest",
                series=jobs(steady(10), constant(100), 0),
                shown=(Shown(value=150.0),),
            ),
            Case(
                name="the workers ended, and what told of them",
                series=jobs(steady(10), "0+10x5 stale", 0),
                shown=(Shown(value=150.0),),
            ),
            Case(name="the workers work", series=jobs(steady(10), steady(10), 0)),
            Case(name="one long job runs", series=jobs(steady(10), constant(100), 1)),
            Case(name="nothing is enqueued", series=jobs(constant(100), constant(100), 0)),
            Case(name="workers that tell nothing", series=jobs(steady(10), None, 0)),
        ),
    )
