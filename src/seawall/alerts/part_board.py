"""The dashboard of what the service depends on."""

from __future__ import annotations

from seawall.alerts.dashboard import RATE, Dashboard, Panel, Row, limit, ours
from seawall.alerts.plan import AlertPlan
from seawall.alerts.rule import Severity

_STATES = {0: ("closed", "green"), 1: ("half-open", "yellow"), 2: ("open", "red"), 3: ("isolated", "purple")}
_HEALTH = {0: ("healthy", "green"), 1: ("degraded", "yellow"), 2: ("unhealthy", "red")}
_UP = {0: ("down", "red"), 1: ("up", "green")}


def part_board(plan: AlertPlan) -> Dashboard:
    """Other services, cache, database, jobs, process, machine."""
    service = plan.service
    return Dashboard(
        uid=f"{service[:27]}-parts",
        title=f"{service}: parts",
        description=f"What {service} depends on: other services, cache, database, jobs, its process and machine.",
        service=service,
        rows=[_health(plan), _calls(plan), _cache(plan), _database(plan), _jobs(plan), _process(plan)],
    )


def _health(plan: AlertPlan) -> Row:
    firing = f'service="{plan.service}",alertstate="firing"'
    return Row(
        title="Health",
        panels=[
            Panel(
                title="Health checks",
                description="What each check found; `overall` is the whole.",
                queries=[(f"max by (check) (health_status{{{ours(plan.service)}}})", "{{check}}")],
                unit="none",
                kind="state-timeline",
                width=12,
                names=_HEALTH,
            ),
            Panel(
                title="Alerts that fire",
                description="How many there are by severity.",
                queries=[
                    (f'count(ALERTS{{{firing},severity="{severity}"}}) or vector(0)', str(severity))
                    for severity in Severity
                ],
                unit="none",
                kind="stat",
                width=6,
                colours=limit(1),
            ),
            Panel(
                title="Processes",
                description="Processes that serve.",
                queries=[(f"sum(service_processes{{{ours(plan.service)}}})", "processes")],
                unit="none",
                kind="stat",
                width=6,
                colours=((None, "red"), (1, "green")),
            ),
        ],
    )


def _calls(plan: AlertPlan) -> Row:
    mine = ours(plan.service)

    def rate(metric: str, by: str) -> str:
        return f"sum by ({by}) (rate({metric}{{{mine}}}[{RATE}]))"

    return Row(
        title="Calls of other services",
        panels=[
            Panel(
                title="Circuit breakers",
                description="The state of each breaker, of several processes the worst.",
                queries=[(f"max by (breaker) (circuit_breaker_state{{{mine}}})", "{{breaker}}")],
                unit="none",
                kind="state-timeline",
                names=_STATES,
            ),
            Panel(
                title="Breakers that changed",
                description="Changes of breakers' states a second.",
                queries=[(rate("circuit_breaker_transitions_total", "breaker, to"), "{{breaker}} {{to}}")],
                unit="cps",
            ),
            Panel(
                title="Refused, repeated, cut, replaced",
                description="Calls a second that a policy refused, tried again, gave up, cut, hedged or answered by an "
                "alternative.",
                queries=[
                    (rate("calls_rejected_total", "policy"), "{{policy}} refused"),
                    (rate("calls_retried_total", "policy"), "{{policy}} retried"),
                    (rate("retries_given_up_total", "policy"), "{{policy}} given up"),
                    (rate("calls_timed_out_total", "policy"), "{{policy}} timed out"),
                    (rate("calls_hedged_total", "policy"), "{{policy}} hedged"),
                    (rate("calls_fallen_back_total", "policy"), "{{policy}} fallen back"),
                ],
                unit="cps",
            ),
        ],
    )


def _cache(plan: AlertPlan) -> Row:
    mine = ours(plan.service)
    asked = f"rate(cache_requests_total{{{mine}}}[{RATE}])"
    hits = f'rate(cache_requests_total{{{mine},answer!="miss"}}[{RATE}])'
    loads = f"rate(cache_load_duration_seconds_bucket{{{mine}}}[{RATE}])"
    return Row(
        title="Cache",
        panels=[
            Panel(
                title="Hit ratio",
                description="The share of values that the cache had, also stale ones.",
                queries=[(f"sum by (category) ({hits}) / sum by (category) ({asked})", "{{category}}")],
                unit="percentunit",
                width=6,
                most=1.0,
            ),
            Panel(
                title="Answers",
                description="Values asked for a second, by what answered.",
                queries=[(f"sum by (answer) ({asked})", "{{answer}}")],
                unit="ops",
                width=6,
                stacked=True,
            ),
            Panel(
                title="Loads",
                description="The 95th percentile of the time loaders took.",
                queries=[(f"histogram_quantile(0.95, sum by (category, le) ({loads}))", "{{category}}")],
                unit="s",
                width=6,
            ),
            Panel(
                title="Shared tier",
                description="Whether the tier that all processes share answers.",
                queries=[(f"min by (cache, tier) (cache_tier_up{{{mine}}})", "{{cache}} {{tier}}")],
                unit="none",
                kind="stat",
                width=3,
                names=_UP,
                colours=((None, "red"), (1, "green")),
            ),
            Panel(
                title="Entries",
                description="Entries in the memory of all processes.",
                queries=[(f"sum by (cache) (cache_entries{{{mine}}})", "{{cache}}")],
                unit="short",
                kind="stat",
                width=3,
            ),
        ],
    )


def _database(plan: AlertPlan) -> Row:
    mine = ours(plan.service)
    limits = plan.thresholds
    seconds = f"rate(database_statement_duration_seconds_bucket{{{mine}}}[{RATE}])"
    return Row(
        title="Database",
        panels=[
            Panel(
                title="Servers",
                description="Which servers can be used.",
                queries=[(f"min by (node) (database_node_up{{{mine}}})", "{{node}}")],
                unit="none",
                kind="state-timeline",
                names=_UP,
            ),
            Panel(
                title="Replication lag",
                description="The age of the oldest commit that a replica lacks.",
                queries=[(f"max by (node) (database_replication_lag_seconds{{{mine}}})", "{{node}}")],
                unit="s",
                colours=limit(limits.replication_lag),
            ),
            Panel(
                title="Connections in use",
                description="By this service, of each server.",
                queries=[(f"sum by (node) (database_connections_in_use{{{mine}}})", "{{node}}")],
                unit="none",
                colours=limit(limits.database_connections),
            ),
            Panel(
                title="Statements",
                description="Statements a second on each server.",
                queries=[(f"sum by (node) (rate(database_statements_total{{{mine}}}[{RATE}]))", "{{node}}")],
                unit="ops",
            ),
            Panel(
                title="Time of statements",
                description="Percentiles of the time that statements took.",
                queries=[
                    (f"histogram_quantile({share}, sum by (le) ({seconds}))", name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ],
                unit="s",
                colours=limit(limits.statement_seconds),
            ),
            Panel(
                title="Slow, repeated, run again",
                description="Statements a second that were slow, asked for again and again by one request, or run "
                "again on another server.",
                queries=[
                    (f"sum(rate(database_slow_statements_total{{{mine}}}[{RATE}]))", "slow"),
                    (f"sum(rate(database_repeated_statements_total{{{mine}}}[{RATE}]))", "repeated"),
                    (f"sum(rate(database_statements_rerun_total{{{mine}}}[{RATE}]))", "run again"),
                ],
                unit="ops",
            ),
        ],
    )


def _jobs(plan: AlertPlan) -> Row:
    mine = ours(plan.service)

    def slow(metric: str) -> str:
        return f"histogram_quantile(0.95, sum by (job_name, le) (rate({metric}_bucket{{{mine}}}[{RATE}])))"

    return Row(
        title="Jobs",
        panels=[
            Panel(
                title="Enqueued and ended",
                description="Jobs enqueued a second, and runs that ended, by how.",
                queries=[
                    (f"sum(rate(jobs_enqueued_total{{{mine}}}[{RATE}]))", "enqueued"),
                    (f"sum by (state) (rate(jobs_total{{{mine}}}[{RATE}]))", "{{state}}"),
                ],
                unit="ops",
                width=6,
            ),
            Panel(
                title="Jobs that run",
                description="How many run at this moment, in all workers.",
                queries=[(f"sum(jobs_active{{{mine}}})", "jobs")],
                unit="none",
                width=6,
            ),
            Panel(
                title="Time of jobs",
                description="The 95th percentile of the time that runs took.",
                queries=[(slow("job_duration_seconds"), "{{job_name}}")],
                unit="s",
                width=6,
            ),
            Panel(
                title="Time jobs wait",
                description="How long jobs waited for a worker once they were due: the 95th percentile.",
                queries=[(slow("job_wait_seconds"), "{{job_name}}")],
                unit="s",
                width=6,
                colours=limit(plan.thresholds.job_wait),
            ),
        ],
    )


def _used(plan: AlertPlan) -> list[Panel]:
    """What the service and its machine use."""
    mine = ours(plan.service)
    limits = plan.thresholds
    return [
        Panel(
            title="CPU",
            description="What the machine uses, and how many cores the service does.",
            queries=[
                (f"system_cpu_used_ratio{{{mine}}}", "{{instance}} machine"),
                (f"rate(process_cpu_seconds_total{{{mine}}}[{RATE}])", "{{instance}} service, cores"),
            ],
            unit="percentunit",
            colours=limit(limits.cpu),
        ),
        Panel(
            title="Memory in use",
            description="The share of the machine's memory, or of the container's limit.",
            queries=[(f"system_memory_used_ratio{{{mine}}}", "{{instance}}")],
            unit="percentunit",
            most=1.0,
            colours=limit(limits.memory),
        ),
        Panel(
            title="Resident memory",
            description="Of the service's processes.",
            queries=[(f"process_resident_memory_bytes{{{mine}}}", "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            title="Disk free",
            description="The share of a disk that is free.",
            queries=[(f"system_disk_free_ratio{{{mine}}}", "{{instance}} {{path}}")],
            unit="percentunit",
            kind="gauge",
            width=4,
            most=1.0,
            colours=((None, "red"), (limits.disk_free, "green")),
        ),
        Panel(
            title="Folders",
            description="What the folders hold that are swept of what nobody needs.",
            queries=[(f"max by (folder) (files_held_bytes{{{mine}}})", "{{folder}}")],
            unit="bytes",
            width=4,
        ),
    ]


def _process(plan: AlertPlan) -> Row:
    mine = ours(plan.service)
    limits = plan.thresholds
    return Row(
        title="Process and machine",
        panels=[
            *_used(plan),
            Panel(
                title="Event loop lag",
                description="How late the event loop runs what is due: the 99th percentile.",
                queries=[
                    (
                        "histogram_quantile(0.99, sum by (instance, le) "
                        f"(rate(event_loop_lag_seconds_bucket{{{mine}}}[{RATE}])))",
                        "{{instance}}",
                    )
                ],
                unit="s",
                colours=limit(limits.event_loop_lag),
            ),
            Panel(
                title="Log lines",
                description="Lines a second by level, and those that were dropped.",
                queries=[
                    (f"sum by (level) (rate(log_lines_total{{{mine}}}[{RATE}]))", "{{level}}"),
                    (f"sum(rate(log_lines_dropped_total{{{mine}}}[{RATE}]))", "dropped"),
                ],
                unit="cps",
            ),
        ],
    )
