"""A plan: what is refused, what its rules ask for, and that each alert can be tried and understood."""

import re
from dataclasses import replace
from typing import Any

import promql_parser
import pytest

from podcasts.objectives import PLAN
from seawall.alerts import AlertPlan, FewEvents, Objective, SlowWork, Targets, Thresholds, generate
from seawall.alerts.rule import Alert, rendered
from seawall.core import OptionError
from seawall.telemetry.catalogue import METRICS
from seawall.telemetry.metrics import Kind

ALERTS = [alert for group in PLAN.groups for alert in group.alerts]
EXPRESSIONS = {
    **{alert.name: alert.expression for alert in ALERTS},
    **{f"{rule.record} {rule.labels}": rule.expression for group in PLAN.groups for rule in group.recordings},
}
EXPORTED = {
    "up", "pg_up", "pg_stat_activity_count", "redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes",
    "metrics_series_refused_total",
}  # fmt: skip
"""Metrics that are not declared: Prometheus's own, the exporters', and the exposition's own."""


def selectors(expression: Any) -> list[Any]:
    """Every series selector in a parsed expression."""
    found: list[Any] = []

    def look(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
            inner = getattr(node, name, None)
            if inner is not None:
                look(inner)
        for inner in getattr(node, "args", None) or ():
            look(inner)

    look(expression)
    return found


def known() -> dict[str, set[str]]:
    """The labels of every series that there can be, by name."""
    scraped = {"job", "instance"}
    found = {name: scraped | {"state"} for name in EXPORTED}
    for metric in METRICS:
        labels = scraped | set(metric.labels)
        if metric.kind is Kind.HISTOGRAM:
            found |= {f"{metric.name}_{end}": labels for end in ("count", "sum")}
            found[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            found[metric.name] = labels
    for group in PLAN.groups:
        for rule in group.recordings:
            found[rule.record] = {"service", "objective", "indicator"}
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_rule_asks_for_what_there_is(name):
    found = selectors(promql_parser.parse(EXPRESSIONS[name]))
    assert found or EXPRESSIONS[name].startswith("vector(")
    for selector in found:
        labels = known()[selector.name]
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= labels, f"{selector.name} has no {matched - labels}"
        assert matched & {"job", "service"}, f"{selector.name} would be anybody's"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_can_be_tried_and_understood(alert: Alert):
    assert any(case.shown for case in alert.cases)
    assert any(not case.shown for case in alert.cases)
    assert alert.held > 0
    for text in (alert.summary, alert.description, alert.meaning, alert.action):
        assert text
        assert "  " not in text
    assert re.search(r"[.;] See ", alert.description), "says what to do"
    assert "{" not in rendered(alert.summary + alert.description, {}, 1.0)
    used = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    for case in alert.cases:
        for shown in case.shown:
            assert used <= shown.labels.keys()


def test_the_seven_groups_are_there_with_their_thresholds():
    expressions = {alert.name: alert.expression for alert in ALERTS}
    for name, end in {
        "ErrorRateHigh": "> 0.1",
        "LatencyHigh": "> 2",
        "TrafficLow": "< 0.01",
        "DatabaseDown": "== 0",
        "DatabaseConnectionsMany": "> 80",
        "PostgresConnectionsMany": "> 80",
        "StatementsSlow": "> 5",
        "CacheDown": "== 0",
        "CacheMemoryHigh": "> 0.9",
        "RedisMemoryHigh": "> 0.9",
        "ServiceUnhealthy": "== 2",
        "ServiceDegraded": "== 1",
        "CpuHigh": "> 0.8",
        "MemoryHigh": "> 0.9",
        "DiskLow": "< 0.1",
        "RateLimitedMany": "> 1",
        "RequestsBlockedMany": "> 0.1",
        "LoginsFailedMany": "> 0.2",
        "AttributionSlow": "> 2",
    }.items():
        assert expressions[name].endswith(end), name
    assert "< 1\n" in expressions["FewCampaigns"]
    assert {"api", "database", "cache", "health", "resources", "security", "business"} <= {
        group.name for group in PLAN.groups
    }


def test_names_are_unique_and_a_group_of_nothing_is_left_out():
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    bare = AlertPlan(service="shop")
    assert not {"objectives", "business"} & {group.name for group in bare.groups}
    assert generate(bare, METRICS)["prometheus.yml"].count("job_name: ") == 4


def test_thresholds_are_those_that_were_given():
    plan = AlertPlan(service="shop", thresholds=Thresholds(latency=0.5, cpu=0.95, login_codes=["wrong.pin"]))
    texts = {alert.name: alert.expression for group in plan.groups for alert in group.alerts}
    assert texts["LatencyHigh"].endswith("> 0.5")
    assert texts["CpuHigh"].endswith("> 0.95")
    assert r'code=~"wrong\\.pin"' in texts["LoginsFailedMany"]


def test_a_bucket_is_found_as_either_prometheus_writes_its_bound():
    plan = AlertPlan(service="shop", objectives=[Objective("lists", latency=(0.95, 2.0))])
    (failures,) = [
        rule.expression for rule in plan.groups[0].recordings if "bucket" in rule.expression and "5m" in rule.record
    ]
    (pattern,) = re.findall(r'le=~"([^"]+)"', failures)
    pattern = pattern.replace("\\\\", "\\")
    assert [bool(re.fullmatch(pattern, text)) for text in ("2", "2.0", "2.5", "20", "200")] == [
        True,
        True,
        *[False] * 3,
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AlertPlan(service="pod casts"), "service is 'pod casts'"),
        (lambda: AlertPlan(service="a", objectives=[Objective("x"), Objective("x")]), "names that differ"),
        (lambda: AlertPlan(service="a", objectives=["x"]), "a list of Objective"),  # type: ignore[list-item]
        (lambda: AlertPlan(service="a", business=[SlowWork(name="CpuHigh", what="w", metric="m")]), "no other alert"),
        (lambda: AlertPlan(service="a", minimum_failures=0), "minimum_failures is 0"),
        (lambda: AlertPlan(service="a", runbook="a b"), "runbook is 'a b'"),
        (lambda: Thresholds(cpu=80), "cpu is 80"),
        (lambda: Thresholds(error_rate=0), "error_rate is 0"),
        (lambda: Thresholds(blocked_codes=[]), "blocked_codes is"),
        (lambda: Thresholds(login_codes="one"), "login_codes is 'one'"),
        (lambda: Targets(service=[]), "at least one"),
        (lambda: Targets(redis=["redis://host"]), "host:port"),
        (lambda: FewEvents(name="Few", what="orders", metric="orders"), "ends in _total"),
        (lambda: FewEvents(name="few", what="orders", metric="orders_total"), "FewCampaigns"),
        (lambda: FewEvents(name="Few", what="orders", metric="orders_total", within=330), "whole minutes"),
        (lambda: FewEvents(name="Few", what="{{ x }}", metric="orders_total"), "words such as"),
        (lambda: SlowWork(name="Slow", what="sums", metric="sums_seconds", quantile=95), "below 1"),
        (lambda: SlowWork(name="Slow", what="sums", metric="sums seconds"), "name of a metric"),
    ],
)
def test_what_can_not_be_watched_is_refused(make, words):
    with pytest.raises(OptionError, match=words):
        make()


def test_a_receivers_address_is_never_shown():
    with pytest.raises(OptionError) as caught:
        Targets(page="hooks.example.com/a-secret-token")
    assert "a-secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    "plan",
    [
        AlertPlan(service="a", thresholds=Thresholds(latency=30)),
        AlertPlan(service="a", thresholds=Thresholds(event_loop_lag=60)),
        AlertPlan(
            service="a", business=[SlowWork(name="S", what="w", metric="http_request_duration_seconds", above=60)]
        ),
        AlertPlan(service="a", business=[SlowWork(name="S", what="w", metric="cache_entries")]),
    ],
)
def test_a_threshold_beyond_what_is_measured_is_refused(plan):
    with pytest.raises(OptionError):
        plan.check(METRICS)


def test_what_is_generated_depends_on_nothing_but_the_plan():
    assert generate(PLAN, METRICS) == generate(replace(PLAN), reversed(METRICS))
