"""Prometheus's files: what it scrapes, its rules, and promtool's tests of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seawall.alerts import yaml
from seawall.alerts.burn import INTERVAL
from seawall.alerts.plan import AlertPlan
from seawall.alerts.promql import duration
from seawall.alerts.rule import Alert, Case, Group, rendered

GENERATED = "Written by `seawall alerts`; change the declarations, not this file."


def configuration(plan: AlertPlan) -> str:
    """`prometheus.yml`."""
    targets = plan.targets
    jobs: list[tuple[str, Any]] = [(plan.service, targets.service)]
    jobs += [
        (f"{plan.service}-{what}", hosts)
        for what, hosts in (("postgresql", targets.postgresql), ("redis", targets.redis))
        if hosts
    ]
    jobs.append((f"{plan.service}-alertmanager", targets.alertmanager))
    return yaml.written(
        {
            "global": {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": f"{INTERVAL}s"},
            "rule_files": ["rules/*.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(targets.alertmanager)}]}]},
            "scrape_configs": [
                {"job_name": job, "metrics_path": "/metrics", "static_configs": [{"targets": list(hosts)}]}
                for job, hosts in jobs
            ],
        },
        comment=f"{GENERATED}\n"
        "The job is the service's name: rules and dashboards look for it. PostgreSQL and Redis are seen through\n"
        "postgres_exporter and redis_exporter. Traces of slow requests: start Prometheus with\n"
        "--enable-feature=exemplar-storage.",
    )


def rules(plan: AlertPlan, group: Group) -> str:
    """`rules/<group>.yml`."""
    recordings = [
        {"record": rule.record, "expr": yaml.Block(rule.expression)}
        | ({"labels": dict(rule.labels)} if rule.labels else {})
        for rule in group.recordings
    ]
    found = {
        "name": f"{plan.service} {group.name}",
        "interval": f"{INTERVAL}s",
        "rules": [*recordings, *(_rule(plan, group, alert) for alert in group.alerts)],
    }
    return yaml.written({"groups": [found]}, comment=f"{group.title} of {plan.service}. {GENERATED}")


def tests(plan: AlertPlan, group: Group) -> str:
    """`tests/<group>.yml`: every alert of the group firing and silent, and all silent where nothing is known."""
    latest = max(case.at for alert in group.alerts for case in alert.cases if case.shown)
    nothing = {
        "name": "what does not exist fires nothing",
        "interval": "1m",
        "input_series": [_series(f'up{{job="{plan.service}",instance="a:8000"}}', f"1x{latest / 60:.0f}")],
        "alert_rule_test": [
            {"eval_time": duration(latest), "alertname": alert.name, "exp_alerts": []} for alert in group.alerts
        ],
    }
    return yaml.written(
        {
            "rule_files": [f"../rules/{group.name}.yml"],
            "evaluation_interval": f"{INTERVAL}s",
            "tests": [*_cases(plan, group), nothing],
        },
        comment=f"{GENERATED} Run: promtool test rules tests/*.yml",
    )


def _cases(plan: AlertPlan, group: Group) -> list[dict[str, Any]]:
    """The alerts' cases; those of several alerts with the same series are one test, since tests take their time."""
    found: dict[tuple[str, float, tuple[tuple[str, str], ...]], dict[str, Any]] = {}
    for alert in group.alerts:
        for case in alert.cases:
            name = case.name if group.recordings else f"{alert.name}: {case.name}"
            test = found.setdefault(
                (name, case.at, tuple(case.series.items())),
                {
                    "name": name,
                    "interval": "1m",
                    "input_series": [_series(one, values) for one, values in case.series.items()],
                    "alert_rule_test": [],
                },
            )
            test["alert_rule_test"].append(_expected(plan, group, alert, case))
    return list(found.values())


def _rule(plan: AlertPlan, group: Group, alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": yaml.Block(alert.expression),
        "for": duration(alert.held),
        "labels": _labels(plan, group, alert),
        "annotations": _annotations(plan, alert),
    }


def _labels(plan: AlertPlan, group: Group, alert: Alert) -> dict[str, str]:
    return {"service": plan.service, "group": group.name, "severity": str(alert.severity)}


def _annotations(plan: AlertPlan, alert: Alert) -> dict[str, str]:
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{plan.runbook}#{alert.name.lower()}",
    }


def _expected(plan: AlertPlan, group: Group, alert: Alert, case: Case) -> dict[str, Any]:
    expected = []
    for shown in case.shown:
        labels = dict(shown.labels) | _labels(plan, group, alert)
        texts = {name: rendered(text, labels, shown.value) for name, text in _annotations(plan, alert).items()}
        expected.append({"exp_labels": labels, "exp_annotations": texts})
    return {"eval_time": duration(case.at), "alertname": alert.name, "exp_alerts": expected}


def _series(name: str, values: str) -> Mapping[str, str]:
    return {"series": name, "values": values}
