"""How good the service promises to be; `seawall alerts` makes rules, dashboards and the runbook of it."""

from __future__ import annotations

from seawall.alerts import AlertPlan, FewEvents, Objective, SlowWork

PLAN = AlertPlan(
    service="podcasts",
    objectives=[
        Objective("service", availability=99.5),
        Objective(
            "reading lists",
            availability=99.9,
            latency=(0.95, 0.25),
            routes=["GET /api/v1/podcasts", "GET /api/v1/sponsors", "GET /api/v1/users", "GET /api/v1/campaigns"],
        ),
        # A language model writes them, and takes the time it takes.
        Objective(
            "campaign copy", availability=99.0, latency=(0.95, 30.0), routes=["POST /api/v1/campaigns/{id}/copy"]
        ),
        Objective("ad-reads by mail", availability=99.0, routes=["POST /api/v1/campaigns/{id}/mail"]),
        Objective("invoices", availability=99.5, latency=(0.9, 5.0), routes=["POST /api/v1/campaigns/{id}/invoice"]),
    ],
    business=[
        FewEvents(
            name="FewCampaigns",
            what="campaigns created",
            metric="http_requests_total",
            labels={"method": "POST", "route": "/api/v1/campaigns", "status": "201"},
            at_least=1,
            within=6 * 3600,
        ),
        SlowWork(
            name="AttributionSlow",
            what="attribution",
            metric="http_request_duration_seconds",
            labels={"method": "GET", "route": "/api/v1/campaigns/{id}/analytics"},
            above=2.0,
        ),
    ],
)
"""What `seawall alerts --objectives podcasts.objectives:PLAN` reads."""
