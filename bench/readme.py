"""`python -m bench.readme`: put the figures of the last full runs into the README, each between its two marks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MARK, END = "<!-- bench {} -->\n", "<!-- /bench -->"
RESILIENCE = {
    "breaker_count": "breaker, count window",
    "breaker_time_slow": "breaker, time window and slow calls",
    "retry": "retry",
    "timeout": "timeout",
    "bulkhead": "bulkhead",
    "rate_limit": "rate limit",
    "pipeline": "bulkhead + budget + retry + breaker + timeout",
    "breaker_sync": "breaker around a `def`",
    "rejection": "refusal by an open breaker",
}
Rows = tuple[tuple[str, str, str, str, bool], ...]
"""Of a table: scenario, title, figure, how it is written, and whether the most is the best."""
CACHE: Rows = (
    ("hit_async", "`await cache.get(key)`, beside an empty coroutine", "ratio", "{:.1f}×", False),
    ("hit_decorated", "a cached function's hit, beside an empty coroutine", "ratio", "{:.1f}×", False),
    ("hit_sync", "`get_nowait`, beside `lru_cache`", "ratio", "{:.1f}×", False),
    ("redis_throughput", "reads of Redis a second, 50 tasks", "rate", "{:,.0f}", True),
    ("outage", "Redis stops answering: the slowest of 100 first calls, ms", "first", "{:.0f}", False),
    ("hit_ratio", "hits with 500 slots, Zipf over 50,000 keys, %", "zipf", "{:.1f}", True),
)
DATABASE: Rows = (
    ("select_by_key", "a row by its key in a session of its own, µs", "us", "{:,.0f}", False),
    ("fetch", "a single statement, µs", "us", "{:,.0f}", False),
    ("transaction", "a transaction with one UPDATE, µs", "us", "{:,.0f}", False),
    ("consistency", "stale reads, of 4,000 behind a write", "stale", "{:,.0f}", False),
    ("consistency", "reads on a replica, 20 ms of lag and 100 ms of thought", "thinking_offloaded", "{:.0%}", True),
    ("misroutes", "statements that write, sent to a replica, of 14", "misrouted", "{:.0f}", False),
    ("failover", "from a promotion to the first write, ms", "first_ms", "{:.0f}", False),
    ("cancelled", "connections that outlive a cancelled query", "survived", "{:.0%}", True),
)
SEVEN, BARE = "seven libraries", "bare"
SINGLE = ("OpenTelemetry (10 %)", "prometheus-fastapi-instrumentator", "structlog")
REQUESTS: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    ("starlette", "µs added to a request of a Starlette app", "above", "{:,.0f}", "seawall", (SEVEN, *SINGLE)),
    ("fastapi", "of bare FastAPI's requests a second, under uvicorn", "ratio", "{:.0%}", "seawall", ()),
    ("fastapi", "the same with a tenth traced", "ratio", "{:.0%}", "seawall (10 % traced)", ()),
    ("fastapi", "the same with errors to Sentry", "ratio", "{:.0%}", "seawall (errors to Sentry)", ()),
    ("fastapi", "the same with both", "ratio", "{:.0%}", "seawall (10 % traced, Sentry)", (SEVEN,)),
    ("errors", "p99 until the answer of an endpoint that raises, ms", "p99", "{:,.0f}", "seawall", (SEVEN, BARE)),
    ("scrape", "a scrape of eight processes, 1,000 series, ms", "ms", "{:,.0f}", "seawall", ("prometheus-client",)),
    ("memory", "MB grown by requests that have nothing in common", "grown", "{:,.1f}", "seawall", (SEVEN, *SINGLE)),
)
"""Of a table: scenario, title, figure, how it is written, which of Seawall's rows, and whose stand beside it."""
BESIDE = 3


def _head(about: dict[str, Any], what: str) -> list[str]:
    where = f"{about['python']}, {about['machine']}, {about['measured']}."
    return [what, f"all take turns. {where}", "", "| | Seawall | next best |", "|---|---|---|"]


def _results(suite: str) -> Any:
    return json.loads((ROOT / f"bench/results/{suite}.json").read_text())


def resilience() -> str:
    """The table: what a call costs, as a multiple of the bare call, and the nearest others."""
    results = _results("resilience")
    rounds = results["about"]["rounds"]
    what = f"What a call costs, as a multiple of the bare call (`await f(x)`): medians of {rounds} rounds in which"
    lines = _head(results["about"], what)
    for scenario, title in RESILIENCE.items():
        figures = {
            row["name"]: row["figures"]["ratio"] for row in results["scenarios"][scenario]["rows"] if row["figures"]
        }
        own = figures.pop("seawall")
        others = sorted((ratio, name) for name, ratio in figures.items() if not name.startswith("bare"))
        beside = ", ".join(f"{name} {ratio:.1f}×" for ratio, name in others[:BESIDE])
        lines.append(f"| {title} | **{own:.1f}×** | {beside} |")
    return "\n".join(lines) + "\n"


def cache() -> str:
    """The table: hits, reads of Redis, an outage and hit ratios, and the nearest others."""
    return _beside("cache", CACHE)


def database() -> str:
    """The table: everyday statements, reads while replicas lag, failover and cancellation, and the nearest others."""
    return _beside("database", DATABASE)


def requests() -> str:
    """The table: what the layer costs, errors, scrapes and memory; beside the libraries that do its parts together."""
    results = _results("requests")
    lines = _head(results["about"], "Medians of rounds in which")
    lines[-2] = "| | Seawall | beside it |"
    for scenario, title, figure, form, own, others in REQUESTS:
        rows = {row["name"]: row["figures"] for row in results["scenarios"][scenario]["rows"] if row["figures"]}
        beside = ", ".join(f"{name} {form.format(rows[name][figure])}" for name in others if name in rows)
        lines.append(f"| {title} | **{form.format(rows[own][figure])}** | {beside} |")
    return "\n".join(lines) + "\n"


def _beside(suite: str, rows: Rows) -> str:
    results = _results(suite)
    lines = _head(results["about"], "Medians of rounds in which")
    for scenario, title, figure, form, most_is_best in rows:
        figures = {
            row["name"]: row["figures"][figure]
            for row in results["scenarios"][scenario]["rows"]
            if row["figures"] and row["figures"][figure] is not None
        }
        own = figures.pop("seawall")
        others = sorted(
            ((value, name) for name, value in figures.items() if not name.startswith(("bare", "functools", "seawall"))),
            reverse=most_is_best,
        )
        beside = ", ".join(f"{name} {form.format(value)}" for value, name in others[:BESIDE])
        lines.append(f"| {title} | **{form.format(own)}** | {beside} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {
    "resilience": resilience,
    "cache": cache,
    "database": database,
    "requests": requests,
}


def filled(readme: str) -> str:
    """The README with the tables of the last runs, where it has marks for them."""
    for suite, table in TABLES.items():
        mark = MARK.format(suite)
        if mark not in readme:
            continue
        before, _, rest = readme.partition(mark)
        _, _, after = rest.partition(END)
        readme = before + mark + table() + END + after
    return readme


def main() -> None:
    """Write it."""
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
