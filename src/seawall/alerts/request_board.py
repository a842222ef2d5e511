"""The dashboard of what callers see."""

from __future__ import annotations

from seawall.alerts.dashboard import RATE, Dashboard, Panel, Row, limit, ours
from seawall.alerts.objective import PROBES
from seawall.alerts.plan import AlertPlan


def request_board(plan: AlertPlan) -> Dashboard:
    """Objectives, traffic, errors, latency."""
    service = plan.service
    return Dashboard(
        uid=f"{service[:27]}-requests",
        title=f"{service}: requests",
        description=f"What the callers of {service} see: objectives, traffic, errors, latency.",
        service=service,
        rows=[*([_objectives(plan)] if plan.objectives else []), _requests(plan), _errors(plan)],
    )


def _objectives(plan: AlertPlan) -> Row:
    mine = f'service="{plan.service}"'
    legend = "{{objective}} ({{indicator}})"
    return Row(
        title="Objectives",
        panels=[
            Panel(
                title="Error budget left",
                description="Of the objective's window: 100 % untouched, 0 % used up; below, the objective is missed.",
                queries=[(f"objective:budget_left:ratio{{{mine}}}", legend)],
                unit="percentunit",
                kind="stat",
                width=12,
                colours=((None, "red"), (0.0, "orange"), (0.25, "green")),
            ),
            Panel(
                title="Burn rate",
                description="How many times as fast as it may be the budget is used, over an hour. 14.4 wakes "
                "somebody.",
                queries=[(f"objective:failed:ratio_rate1h{{{mine}}} / objective:budget:ratio{{{mine}}}", legend)],
                unit="none",
                width=12,
                colours=((None, "green"), (1.0, "yellow"), (14.4, "red")),
            ),
        ],
    )


def _requests(plan: AlertPlan) -> Row:
    not_probes = f'route!~"{PROBES}"'
    users = ours(plan.service, not_probes)
    errors = ours(plan.service, not_probes, 'status=~"5.."')
    every = f"sum(rate(http_requests_total{{{users}}}[{RATE}]))"
    failed = f"sum(rate(http_requests_total{{{errors}}}[{RATE}]))"
    rate = f"rate(http_requests_total{{{users}}}[{RATE}])"
    seconds = f"rate(http_request_duration_seconds_bucket{{{users}}}[{RATE}])"
    limits = plan.thresholds
    return Row(
        title="Requests",
        panels=[
            Panel(
                title="Request rate",
                description="Requests a second by route, probes not counted.",
                queries=[(f"sum by (method, route) ({rate})", "{{method}} {{route}}")],
                unit="reqps",
                stacked=True,
            ),
            Panel(
                title="Error ratio",
                description="The share of requests answered with 5xx.",
                queries=[(f"({failed} or 0 * {every}) / {every}", "5xx")],
                unit="percentunit",
                colours=limit(0.01),
            ),
            Panel(
                title="Latency",
                description="Percentiles of the time until the answer was through. Dots lead to traces where exemplars "
                "are kept.",
                queries=[
                    (f"histogram_quantile({share}, sum by (le) ({seconds}))", name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ],
                unit="s",
                colours=limit(limits.latency),
            ),
            Panel(
                title="95th percentile by route",
                description="The time within which 19 of 20 requests of a route are through.",
                queries=[(f"histogram_quantile(0.95, sum by (route, le) ({seconds}))", "{{route}}")],
                unit="s",
                colours=limit(limits.latency),
            ),
            Panel(
                title="Status codes",
                description="Answers a second by status; 499 is a client that left before.",
                queries=[(f"sum by (status) ({rate})", "{{status}}")],
                unit="reqps",
                stacked=True,
            ),
            Panel(
                title="Under way",
                description="Requests that are being answered now.",
                queries=[
                    (f"sum(http_requests_active{{{ours(plan.service)}}})", "requests"),
                    (f"sum(websocket_connections_active{{{ours(plan.service)}}})", "websockets"),
                ],
                unit="none",
            ),
        ],
    )  # fmt: skip


def _errors(plan: AlertPlan) -> Row:
    mine = ours(plan.service)
    return Row(
        title="Errors",
        panels=[
            Panel(
                title="Errors by code",
                description="Problem responses a second by the code in their body.",
                queries=[(f"sum by (code) (rate(errors_total{{{mine}}}[{RATE}]))", "{{code}}")],
                unit="reqps",
                width=12,
                stacked=True,
            ),
            Panel(
                title="Errors by severity",
                description="Problem responses a second by how much they matter.",
                queries=[(f"sum by (severity) (rate(errors_total{{{mine}}}[{RATE}]))", "{{severity}}")],
                unit="reqps",
                width=12,
                stacked=True,
            ),
        ],
    )
