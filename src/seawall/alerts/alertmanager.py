"""Alertmanager's file: who is told of what, and what isn't told because something worse is."""

from __future__ import annotations

from typing import Any

from seawall.alerts import yaml
from seawall.alerts.plan import AlertPlan
from seawall.alerts.prometheus import GENERATED
from seawall.alerts.promql import equal
from seawall.alerts.rule import Severity


def routing(plan: AlertPlan) -> str:
    """`alertmanager.yml`."""
    service = equal("service", plan.service)
    severities = {severity: equal("severity", str(severity)) for severity in Severity}
    objectives = [alert.name for group in plan.groups if group.name == "objectives" for alert in group.alerts]
    inhibitions = [
        # What can't be seen is not judged, but for whether it can be seen at all.
        _inhibition([service, 'alertname="ServiceNotScraped"'], [service, 'group!="scrape"'], ["service"]),
        _inhibition([service, 'alertname="DatabaseDown"'], [service, 'alertname="NoPrimary"'], ["service", "instance"]),
        _inhibition([service, 'alertname="RedisDown"'], [service, 'alertname="CacheDown"'], ["service"]),
        _inhibition(
            [service, 'alertname="ServiceUnhealthy"'], [service, 'alertname="ServiceDegraded"'], ["service", "instance"]
        ),
    ]
    inhibitions += [
        # An objective is told once, by the most urgent of its alerts.
        _inhibition(
            [service, equal("alertname", name)],
            [service, f'alertname=~"{"|".join(objectives[place + 1 :])}"'],
            ["service", "objective", "indicator"],
        )
        for place, name in enumerate(objectives[:-1])
    ]
    return yaml.written(
        {
            "global": {"resolve_timeout": "5m"},
            "route": {
                "receiver": "ticket",
                "group_by": ["service", "alertname"],
                "group_wait": "30s",
                "group_interval": "5m",
                "repeat_interval": "1d",
                "routes": [
                    {
                        "receiver": "page",
                        "matchers": [severities[Severity.PAGE]],
                        "group_by": ["service", "group"],
                        "group_wait": "10s",
                        "repeat_interval": "1h",
                    },
                    {"receiver": "ticket", "matchers": [severities[Severity.TICKET]]},
                ],
            },
            "inhibit_rules": inhibitions,
            "receivers": [_receiver("page", plan.targets.page), _receiver("ticket", plan.targets.ticket)],
        },
        comment=f"An example of routing for {plan.service}. {GENERATED}\n"
        "The receivers are placeholders: put the address of your pager and of your tracker there.",
    )


def _inhibition(source: list[str], target: list[str], equals: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": equals}


def _receiver(name: str, url: str) -> dict[str, Any]:
    return {"name": name, "webhook_configs": [{"url": url, "send_resolved": True}]}
