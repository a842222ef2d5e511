"""Alerts on what the service depends on: database, cache, and the services it calls."""

from __future__ import annotations

from collections.abc import Mapping

from seawall.alerts.options import Thresholds
from seawall.alerts.promql import equal
from seawall.alerts.rule import NUMBER, PERCENT, Alert, Case, Group, Severity, Shown, percentage
from seawall.alerts.traffic import constant, spread

_INSTANCE = "a:8000"
_FULL = "Raise `maxmemory`, shorten the time to live of what is large, and see that `maxmemory-policy` evicts."
_CONNECTIONS = (
    "See which statements and transactions take so long that their connections don't come back, then whether the pools "
    "of all processes together are larger than the server bears."
)


def _gauge(
    metric: str, matchers: str, bad: float, good: float, *, shown: float | None = None, labels: Mapping[str, str]
) -> tuple[Case, Case]:
    """A value that fires and one that doesn't."""
    series = f"{metric}{{{matchers}}}"
    value = bad if shown is None else shown
    return (
        Case(name=f"{bad:g}", series={series: constant(bad)}, shown=(Shown(value=value, labels=labels),)),
        Case(name=f"{good:g}", series={series: constant(good)}),
    )


def database_group(service: str, limits: Thresholds) -> Group:
    """Servers, connections, statements, replicas."""
    return Group(
        name="database",
        title="Database",
        alerts=(
            *_servers(service),
            *_connections(service, limits),
            *_postgres(service, limits),
            *_statements(service, limits),
        ),
    )


def _servers(service: str) -> tuple[Alert, ...]:
    job = equal("job", service)
    instance = f'{job},instance="{_INSTANCE}"'
    first, second = (f'{instance},node="{node}"' for node in ("first", "second"))

    def nodes(up: tuple[int, int], primary: tuple[int, int]) -> dict[str, str]:
        return {
            f"database_node_up{{{first}}}": constant(up[0]),
            f"database_node_up{{{second}}}": constant(up[1]),
            f"database_node_primary{{{first}}}": constant(primary[0]),
            f"database_node_primary{{{second}}}": constant(primary[1]),
        }

    here = (Shown(labels={"instance": _INSTANCE}),)
    return (
        Alert(
            name="DatabaseDown",
            expression=f"max by (instance) (database_node_up{{{job}}}) == 0",
            held=30,
            severity=Severity.PAGE,
            summary=f"{service} on {{{{ $labels.instance }}}} has no database",
            description="{{ $labels.instance }} can use no database server. See whether they run and can be reached.",
            meaning="Not one database server can be used, as one process of the service sees it.",
            action="See whether the servers run, and whether the network or the credentials changed. "
            "`GET /admin/database` says why each is down.",
            cases=(
                Case(name="both are down", series=nodes((0, 0), (1, 0)), shown=here),
                Case(name="a replica answers", series=nodes((0, 1), (1, 0))),
            ),
        ),
        Alert(
            name="DatabaseNodeDown",
            expression=f"min by (node) (database_node_up{{{job}}}) == 0",
            held=120,
            severity=Severity.TICKET,
            summary="Database server {{ $labels.node }} can't be used",
            description="{{ $labels.node }} can't be used; the others take its work. See whether it runs.",
            meaning="One database server is down, hangs, or lags too far behind.",
            action="Mend or replace it: there is one less to fall back on.",
            cases=(
                Case(
                    name="a replica is down", series=nodes((1, 0), (1, 0)), shown=(Shown(labels={"node": "second"}),)
                ),
                Case(name="all are up", series=nodes((1, 1), (1, 0))),
            ),
        ),
        Alert(
            name="NoPrimary",
            expression=(
                f"max by (instance) (\n  database_node_primary{{{job}}} * database_node_up{{{job}}}\n) == 0"
            ),
            held=30,
            severity=Severity.PAGE,
            summary=f"{service} on {{{{ $labels.instance }}}} knows no primary, so nothing can be written",
            description="{{ $labels.instance }} knows no primary that is up: writes fail. "
            "See whether a replica has to be promoted.",
            meaning="No database server that is up is a primary: the failover failed or is not over, or the old "
            "primary came back as a replica of nothing.",
            action="Promote the replica that has replayed most; the service finds it by itself.",
            cases=(
                Case(name="two replicas", series=nodes((1, 1), (0, 0)), shown=here),
                Case(name="the other one was promoted", series=nodes((0, 1), (0, 1))),
            ),
        ),
    )  # fmt: skip


def _connections(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    job = equal("job", service)
    most = limits.database_connections
    return (
        Alert(
            name="DatabaseConnectionsMany",
            expression=f"sum by (node) (database_connections_in_use{{{job}}}) > {most:g}",
            held=300,
            severity=Severity.TICKET,
            summary=f"{service} uses many connections of {{{{ $labels.node }}}}",
            description=f"{NUMBER} connections are in use; above {most:g} the server may soon have none left. "
            "See which statements take long.",
            meaning=f"The service uses more than {most:g} connections of one server.",
            action=_CONNECTIONS,
            cases=_gauge(
                "database_connections_in_use", f'{job},node="first"', most + 5, most, labels={"node": "first"}
            ),
        ),
    )  # fmt: skip


def _postgres(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    """What postgres_exporter sees."""
    exporter, most = equal("job", f"{service}-postgresql"), limits.database_connections
    return (
        Alert(
            name="PostgresDown",
            expression=f"pg_up{{{exporter}}} == 0",
            held=60,
            severity=Severity.PAGE,
            summary="PostgreSQL behind {{ $labels.instance }} is down",
            description="postgres_exporter on {{ $labels.instance }} can't connect. See the server's log.",
            meaning="The exporter, which is near the server, can't connect to it.",
            action="Read the server's log; see its disk and its limit of connections.",
            cases=_gauge(
                "pg_up", f'{exporter},instance="a:9187"', 0, 1,
                labels={"job": f"{service}-postgresql", "instance": "a:9187"},
            ),
        ),
        Alert(
            name="PostgresConnectionsMany",
            expression=f"sum by (instance) (pg_stat_activity_count{{{exporter}}}) > {most:g}",
            held=300,
            severity=Severity.TICKET,
            summary="PostgreSQL behind {{ $labels.instance }} has many connections",
            description=f"{NUMBER} connections are open, of all its users; above {most:g} there may soon be none "
            "left. See pg_stat_activity for whose they are.",
            meaning=f"The server has more than {most:g} connections, of whomever.",
            action=_CONNECTIONS,
            cases=_gauge(
                "pg_stat_activity_count", f'{exporter},instance="a:9187",state="active"', most + 5, most,
                labels={"instance": "a:9187"},
            ),
        ),
    )  # fmt: skip


def _statements(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    job = equal("job", service)
    slow, behind = limits.statement_seconds, limits.replication_lag
    metric, kind = "database_statement_duration_seconds", f'{job},kind="read"'
    return (
        Alert(
            name="StatementsSlow",
            expression=(
                f"histogram_quantile(\n  0.95,\n  sum by (kind, le) (rate({metric}_bucket{{{job}}}[5m]))\n)\n> {slow:g}"
            ),
            held=300,
            severity=Severity.TICKET,
            summary="Statements ({{ $labels.kind }}) are slow",
            description=f"The 95th percentile is {NUMBER} s; above {slow:g} s is too slow. "
            "See pg_stat_statements, and `seawall analyze` for indexes.",
            meaning=f"One statement in twenty takes longer than {slow:g} s.",
            action="Run `seawall analyze` on the database, look for locks, and see whether a report runs on the "
            "primary.",
            cases=(
                Case(
                    name="slow",
                    series=spread(metric, kind, slow, slow * 2),
                    shown=(Shown(value=slow * 1.95, labels={"kind": "read"}),),
                ),
                Case(name="quick", series=spread(metric, kind, slow / 10, slow / 5)),
            ),
        ),
        Alert(
            name="ReplicaLags",
            expression=f"max by (node) (database_replication_lag_seconds{{{job}}}) > {behind:g}",
            held=300,
            severity=Severity.TICKET,
            summary="Replica {{ $labels.node }} is behind",
            description=f"It lacks {NUMBER} s of what was written; above {behind:g} s its readers wait for others. "
            "See what it replays.",
            meaning=f"A replica has not replayed a commit that is older than {behind:g} s. Callers are not shown old "
            "data; they read elsewhere, which has more to do.",
            action="See whether a long query on the replica holds replay up, whether its disk or the network is full, "
            "and whether something writes in bulk.",
            cases=_gauge(
                "database_replication_lag_seconds", f'{job},node="second"', behind * 2, behind,
                labels={"node": "second"},
            ),
        ),
    )  # fmt: skip


def cache_group(service: str, limits: Thresholds) -> Group:
    """The shared tier and its memory."""
    return Group(name="cache", title="Cache", alerts=(*_tier(service, limits), *_redis(service, limits)))


def _tier(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    """What the service sees."""
    job, most = equal("job", service), limits.cache_memory
    between = (1.0 + most) / 2
    return (
        Alert(
            name="CacheDown",
            expression=f"min by (cache, tier) (cache_tier_up{{{job}}}) == 0",
            held=120,
            severity=Severity.TICKET,
            summary=f"The cache of {service} has lost {{{{ $labels.tier }}}}",
            description="{{ $labels.tier }} of the cache {{ $labels.cache }} does not answer; processes have only "
            "their own memory, and the database has more to do. See whether the server runs.",
            meaning="The tier that all processes share can't be used. The service goes on, with fewer hits.",
            action="See whether Redis runs and can be reached. The cache comes back by itself.",
            cases=_gauge(
                "cache_tier_up", f'{job},cache="main",tier="redis"', 0, 1,
                labels={"cache": "main", "tier": "redis"},
            ),
        ),
        Alert(
            name="CacheMemoryHigh",
            expression=f"max by (server) (redis_memory_used_ratio{{{job}}}) > {most:g}",
            held=300,
            severity=Severity.TICKET,
            summary="Redis {{ $labels.server }} is nearly full",
            description=f"It uses {PERCENT} of the memory it may have. See what is large, and what it evicts.",
            meaning=f"Redis uses more than {percentage(most)} of its `maxmemory`, as the service sees it.",
            action=_FULL,
            cases=_gauge(
                "redis_memory_used_ratio", f'{job},server="a:6379"', between, most, labels={"server": "a:6379"}
            ),
        ),
    )  # fmt: skip


def _redis(service: str, limits: Thresholds) -> tuple[Alert, ...]:
    """What redis_exporter sees."""
    exporter, most = equal("job", f"{service}-redis"), limits.cache_memory
    used = f'{exporter},instance="a:9121"'
    redis = {"job": f"{service}-redis", "instance": "a:9121"}
    between = (1.0 + most) / 2

    def memory(share: float) -> dict[str, str]:
        return {
            f"redis_memory_used_bytes{{{used}}}": constant(share * 1e9),
            f"redis_memory_max_bytes{{{used}}}": constant(1e9),
        }

    unlimited = {f"redis_memory_used_bytes{{{used}}}": constant(1e9), f"redis_memory_max_bytes{{{used}}}": constant(0)}
    return (
        Alert(
            name="RedisDown",
            expression=f"redis_up{{{exporter}}} == 0",
            held=60,
            severity=Severity.PAGE,
            summary="Redis behind {{ $labels.instance }} is down",
            description="redis_exporter on {{ $labels.instance }} can't connect. See the server's log.",
            meaning="The exporter, which is near the server, can't connect to it.",
            action="Read the server's log; see its memory and whether it loads or saves a large file.",
            cases=_gauge("redis_up", used, 0, 1, labels=redis),
        ),
        Alert(
            name="RedisMemoryHigh",
            expression=(
                f"redis_memory_used_bytes{{{exporter}}}\n/\n(redis_memory_max_bytes{{{exporter}}} > 0)\n"
                f"> {most:g}"
            ),
            held=300,
            severity=Severity.TICKET,
            summary="Redis behind {{ $labels.instance }} is nearly full",
            description=f"It uses {PERCENT} of the memory it may have. See what is large, and what it evicts.",
            meaning=f"Redis uses more than {percentage(most)} of its `maxmemory`. One without is not judged.",
            action=_FULL,
            cases=(
                Case(name="nearly full", series=memory(between), shown=(Shown(value=between, labels=redis),)),
                Case(name="enough room", series=memory(most / 2)),
                Case(name="no limit", series=unlimited),
            ),
        ),
    )  # fmt: skip


def calls_group(service: str) -> Group:
    """Circuit breakers."""
    job = equal("job", service)
    breaker = f'circuit_breaker_state{{{job},breaker="payments"}}'
    return Group(
        name="calls",
        title="Calls of other services",
        alerts=(
            Alert(
                name="CircuitOpen",
                expression=f"max by (breaker) (circuit_breaker_state{{{job}}}) == 2",
                held=120,
                severity=Severity.TICKET,
                summary="Circuit breaker {{ $labels.breaker }} is open",
                description="Calls through {{ $labels.breaker }} are refused, since too many failed. "
                "See what the other service says.",
                meaning="Calls of another service failed so often that no more are made for now. Fallbacks answer "
                "where there are any.",
                action="See the other service's status page and the errors that opened the breaker in the log. It "
                "closes by itself once trial calls succeed.",
                cases=_gauge(
                    "circuit_breaker_state", f'{job},breaker="payments"', 2, 1, labels={"breaker": "payments"}
                ),
            ),
            Alert(
                name="CircuitIsolated",
                expression=f"max by (breaker) (circuit_breaker_state{{{job}}}) == 3",
                held=3_600,
                severity=Severity.TICKET,
                summary="Circuit breaker {{ $labels.breaker }} is still isolated",
                description="{{ $labels.breaker }} was isolated by hand more than an hour ago. "
                "See whether it still has to be; nobody but you closes it.",
                meaning="A breaker was opened by hand and forgotten, or still has to be.",
                action="Close it with `POST /admin/breakers/<name>/close` once what it guards is well.",
                cases=(
                    Case(
                        name="isolated for long", series={breaker: "3x120"}, at=5_400,
                        shown=(Shown(value=3.0, labels={"breaker": "payments"}),),
                    ),
                    Case(name="isolated a moment ago", series={breaker: "3x120"}, at=1_800),
                    Case(name="open", series={breaker: "2x120"}, at=5_400),
                ),
            ),
        ),
    )  # fmt: skip
