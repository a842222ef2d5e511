"""Alerts on the service as its callers see it: whether it is there, errors, latency, health, attacks."""

from __future__ import annotations

from seawall.alerts.objective import PROBES
from seawall.alerts.options import Thresholds
from seawall.alerts.promql import among, equal, literal, quoted, selector
from seawall.alerts.rule import NUMBER, Alert, Case, Group, Severity, Shown
from seawall.alerts.traffic import constant, spread, steady


def scrape_group(service: str) -> Group:
    """Whether Prometheus can see the service and what it depends on."""
    job = equal("job", service)
    one = {"job": service, "instance": "a:8000"}
    series = f'up{{{job},instance="a:8000"}}'
    here = {f"up{{{job}}}": constant(1)}
    return Group(
        name="scrape",
        title="Whether anything can be seen",
        alerts=(
            Alert(
                name="ServiceDown",
                expression=f"up{{{job}}} == 0",
                held=60,
                severity=Severity.PAGE,
                summary=f"{service} on {{{{ $labels.instance }}}} does not answer",
                description="Prometheus can't read /metrics of {{ $labels.instance }}. "
                "See whether the process runs and what it logged last.",
                meaning="`/metrics` of one of the service's processes can't be read: it is dead, hangs, or can't be "
                "reached.",
                action="Look at the process and its last log lines; restart it if it hangs. If every instance is down, "
                "undo the last release.",
                cases=(
                    Case(name="an instance is down", series={series: constant(0)}, shown=(Shown(labels=one),)),
                    Case(name="it is back at once", series={series: f"1x28 0 {constant(1)}"}),
                ),
            ),
            Alert(
                name="ServiceNotScraped",
                expression=f"absent(up{{{job}}})",
                held=300,
                severity=Severity.PAGE,
                summary=f"Prometheus does not look at {service}",
                description=f"There is no target of the job {service}, so no other alert of it can fire. "
                "See Prometheus's configuration and its targets page.",
                meaning="No target of the service is known to Prometheus. Every other alert is blind.",
                action="Compare `scrape_configs` with `prometheus.yml` here; see `/targets` of Prometheus.",
                cases=(
                    Case(
                        name="nobody looks",
                        series={'up{job="others"}': constant(1)},
                        shown=(Shown(value=1.0, labels={"job": service}),),
                    ),
                    Case(name="somebody looks", series=here),
                ),
            ),
            _exporter_down(service),
        ),
    )


def _exporter_down(service: str) -> Alert:
    exporters = among("job", [literal(f"{service}-postgresql"), literal(f"{service}-redis")])
    exporter = {"job": f"{service}-redis", "instance": "a:9121"}
    exporter_series = f'up{{job={quoted(service + "-redis")},instance="a:9121"}}'
    return Alert(
        name="ExporterDown",
        expression=f"up{{{exporters}}} == 0",
        held=300,
        severity=Severity.TICKET,
        summary="{{ $labels.job }} on {{ $labels.instance }} does not answer",
        description="The exporter {{ $labels.instance }} can't be read, so nothing is known of its server. "
        "See whether it runs.",
        meaning="An exporter of PostgreSQL or Redis can't be read. The server behind it may be well.",
        action="Start the exporter, or take it out of `prometheus.yml` if there is none.",
        cases=(
            Case(
                name="an exporter is down",
                series={exporter_series: constant(0)},
                shown=(Shown(labels=exporter),),
            ),
            Case(name="it answers", series={exporter_series: constant(1)}),
        ),
    )


def api_group(service: str, limits: Thresholds) -> Group:
    """Errors, latency, traffic."""
    job = equal("job", service)
    users = f'route!~"{PROBES}"'
    route = 'method="GET",route="/things"'

    def requests(status: int, per_minute: float) -> dict[str, str]:
        return {f'http_requests_total{{{job},{route},status="{status}"}}': steady(per_minute)}

    probes = {f'http_requests_total{{{job},method="GET",route="/metrics",status="200"}}': steady(4)}
    return Group(
        name="api",
        title="Requests",
        alerts=(
            Alert(
                name="ErrorRateHigh",
                expression=f'sum(rate(http_requests_total{{{job},status=~"5.."}}[5m])) > {limits.error_rate:g}',
                held=300,
                severity=Severity.PAGE,
                summary=f"{service} answers many requests with errors",
                description=f"{NUMBER} answers of 5xx a second; above {limits.error_rate:g} is too many. "
                "See which routes and which codes.",
                meaning=f"More than {limits.error_rate:g} answers a second have a status of 5xx.",
                action="See the codes of the problem bodies on the dashboard: `circuit-open` and `external` point to a "
                "provider, others to the database; what has no code of its own is a defect, with its trace in the log.",
                cases=(
                    Case(
                        name="errors",
                        series=requests(503, limits.error_rate * 120) | requests(200, 600),
                        shown=(Shown(value=limits.error_rate * 2),),
                    ),
                    Case(name="few errors", series=requests(503, limits.error_rate * 30) | requests(404, 600)),
                ),
            ),
            _latency_high(service, limits),
            Alert(
                name="TrafficLow",
                expression=(
                    f"(\n  sum(rate(http_requests_total{{{job},{users}}}[15m]))\n  or\n"
                    f"  0 * sum(rate(http_requests_total{{{job}}}[15m]))\n)\n< {limits.traffic:g}"
                ),
                held=900,
                severity=Severity.TICKET,
                summary=f"Hardly anybody calls {service}",
                description=f"{NUMBER} requests a second besides probes; below {limits.traffic:g} is unusual. "
                "See whether something in front of the service keeps callers away.",
                meaning=f"Fewer than {limits.traffic:g} requests a second, probes not counted.",
                action="Call the service from outside: its name, the certificate, the load balancer. Raise or lower "
                "the threshold to what is usual for it.",
                cases=(
                    Case(name="only probes", series=probes, shown=(Shown(value=0.0),)),
                    Case(name="usual traffic", series=probes | requests(200, limits.traffic * 120)),
                ),
            ),
        ),
    )


def _latency_high(service: str, limits: Thresholds) -> Alert:
    job = equal("job", service)
    users = f'route!~"{PROBES}"'

    def took(low: float, high: float) -> dict[str, str]:
        return spread("http_request_duration_seconds", f'{job},method="GET",route="/things"', low, high)

    high = limits.latency * 2
    return Alert(
        name="LatencyHigh",
        expression=(
            "histogram_quantile(\n  0.95,\n  sum by (le) (rate(http_request_duration_seconds_bucket"
            f"{{{job},{users}}}[5m]))\n)\n> {limits.latency:g}"
        ),
        held=600,
        severity=Severity.PAGE,
        summary=f"{service} is slow",
        description=f"The 95th percentile of requests is {NUMBER} s; above {limits.latency:g} s is too slow. "
        "See which routes, and whether database, cache or a provider is slow.",
        meaning=f"One request in twenty takes longer than {limits.latency:g} s.",
        action="See the slowest routes on the dashboard, then the latency of statements and cache loads, the "
        "event loop's lag, and CPU. Shed load or add processes if it is load.",
        cases=(
            Case(name="slow", series=took(limits.latency, high), shown=(Shown(value=limits.latency * 1.95),)),
            Case(name="quick", series=took(limits.latency / 4, limits.latency / 2)),
        ),
    )


def health_group(service: str) -> Group:
    """What the service says of its own health."""
    job = equal("job", service)
    overall = f'health_status{{{job},check="overall"}}'

    def case(name: str, value: int, shown: tuple[Shown, ...] = ()) -> Case:
        series = f'health_status{{{job},instance="a:8000",check="overall"}}'
        return Case(name=name, series={series: constant(value)}, shown=shown)

    labels = {"instance": "a:8000"}
    return Group(
        name="health",
        title="Health checks",
        alerts=(
            Alert(
                name="ServiceUnhealthy",
                expression=f"max by (instance) ({overall}) == 2",
                held=60,
                severity=Severity.PAGE,
                summary=f"{service} on {{{{ $labels.instance }}}} is unhealthy",
                description="A critical check fails on {{ $labels.instance }}, so it takes no requests. "
                "See /health/detailed for which.",
                meaning="A check that is critical fails; the process is out of rotation until it recovers.",
                action="Read `/health/detailed`: it names the check and why. Mend what it checks, not the service.",
                cases=(
                    case("unhealthy", 2, (Shown(value=2.0, labels=labels),)),
                    case("merely degraded", 1),
                ),
            ),
            Alert(
                name="ServiceDegraded",
                expression=f"max by (instance) ({overall}) == 1",
                held=600,
                severity=Severity.TICKET,
                summary=f"{service} on {{{{ $labels.instance }}}} is degraded",
                description="A check that is not critical fails on {{ $labels.instance }}. "
                "See /health/detailed for which.",
                meaning="The service works, without something that it can do without for a while.",
                action="Read `/health/detailed`: it names the check and why.",
                cases=(case("degraded", 1, (Shown(value=1.0, labels=labels),)), case("healthy", 0)),
            ),
        ),
    )


def security_group(service: str, limits: Thresholds) -> Group:
    """Callers who ask too often, who are refused, and who guess."""
    job = equal("job", service)
    codes = {
        name: among("code", [literal(code) for code in given])
        for name, given in (("blocked", limits.blocked_codes), ("logins", limits.login_codes))
    }
    limited = selector("http_requests_total", job, 'status="429"')
    blocked = selector("errors_total", job, codes["blocked"])
    logins = selector("errors_total", job, codes["logins"])

    def cases(metric: str, label: str, limit: float) -> tuple[Case, Case]:
        series = f"{metric}{{{job},{label}}}"
        return (
            Case(name="many", series={series: steady(limit * 120)}, shown=(Shown(value=limit * 2),)),
            Case(name="few", series={series: steady(limit * 30)}),
        )

    return Group(
        name="security",
        title="Security",
        alerts=(
            Alert(
                name="RateLimitedMany",
                expression=f"sum(rate({limited}[5m])) > {limits.rate_limited:g}",
                held=300,
                severity=Severity.TICKET,
                summary=f"{service} refuses many requests as too frequent",
                description=f"{NUMBER} answers of 429 a second; above {limits.rate_limited:g} is unusual. "
                "See who asks so often.",
                meaning=f"More than {limits.rate_limited:g} requests a second are over a rate limit.",
                action="Find the caller in the access log. A script gone wild: talk to its owner. A crowd: raise the "
                "limit. An attack: block it in front of the service.",
                cases=cases("http_requests_total", 'route="/things",status="429"', limits.rate_limited),
            ),
            Alert(
                name="RequestsBlockedMany",
                expression=f"sum(rate({blocked}[5m])) > {limits.blocked:g}",
                held=300,
                severity=Severity.TICKET,
                summary=f"The firewall of {service} blocks many requests",
                description=f"{NUMBER} requests a second were blocked; above {limits.blocked:g} is unusual. "
                "See whether they are an attack or a false alarm.",
                meaning=f"The firewall refuses more than {limits.blocked:g} requests a second.",
                action="Look at what was blocked and why. One address: block it in front of the service. Ordinary "
                "users: exclude the field from the rule that hit.",
                cases=cases("errors_total", f"code={quoted(limits.blocked_codes[0])}", limits.blocked),
            ),
            Alert(
                name="LoginsFailedMany",
                expression=f"sum(rate({logins}[5m])) > {limits.failed_logins:g}",
                held=300,
                severity=Severity.PAGE,
                summary=f"Somebody guesses passwords of {service}",
                description=f"{NUMBER} logins a second fail; above {limits.failed_logins:g} is unusual. "
                "See from where they come and at whom they aim.",
                meaning=f"More than {limits.failed_logins:g} logins a second have a wrong name or password.",
                action="From one address: block it. From many against one account: lock it and tell its owner. After a "
                "release: see whether logging in works at all.",
                cases=cases("errors_total", f"code={quoted(limits.login_codes[0])}", limits.failed_logins),
            ),
        ),
    )
