"""Twelve queries: nine need an index, three must get none. The advised indexes are really built and the queries run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from seawall.database.advisor import analyze

GAIN = 3.0
"""How many times fewer buffers, or less time, an index has to bring."""

NEED = {
    "equality, range, sort": "SELECT * FROM orders WHERE customer_id = 77 AND status = 'done'"
    " AND created_at > '2024-02-01' ORDER BY created_at DESC LIMIT 10",
    "expression": "SELECT * FROM customers WHERE lower(email) = 'user500@example.com'",
    "prefix": "SELECT id, email FROM customers WHERE email LIKE 'user999%'",
    "jsonb": """SELECT id FROM orders WHERE data @> '{"k": 17}'""",
    "array": "SELECT id FROM orders WHERE tags && ARRAY['t5']",
    "two tables": "SELECT o.id, o.total FROM orders o JOIN customers c ON c.id = o.customer_id"
    " WHERE c.email = 'user500@Example.com'",
    "partial": "SELECT id, total FROM orders WHERE deleted_at IS NOT NULL AND total > 100 ORDER BY created_at LIMIT 50",
    "order and limit": "SELECT * FROM orders ORDER BY created_at DESC LIMIT 20",
    "covering group": "SELECT customer_id, sum(total) FROM orders WHERE customer_id BETWEEN 100 AND 900"
    " GROUP BY customer_id",
}
NEED_NONE = {
    "small table": "SELECT * FROM countries WHERE name = 'DE'",
    "unselective": "SELECT * FROM orders WHERE active",
    "indexed already": "SELECT * FROM orders WHERE total = 5.5",
}

TABLES = """
CREATE TABLE countries (code text PRIMARY KEY, name text);
INSERT INTO countries VALUES ('DE', 'DE'), ('FR', 'FR'), ('US', 'US');
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, pad text);
INSERT INTO customers SELECT i, 'user' || i || '@Example.com', repeat('x', 60) FROM generate_series(1, {customers}) i;
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, status text NOT NULL,
    total numeric(10, 2) NOT NULL, created_at timestamptz NOT NULL, deleted_at timestamptz, data jsonb NOT NULL,
    tags text[] NOT NULL, active boolean NOT NULL, pad text
);
INSERT INTO orders
SELECT i, 1 + (hashint8(i) & 2147483647) % {customers}, CASE WHEN i % 10 = 1 THEN 'paid' ELSE 'done' END,
       (i % 5000) / 7.0, timestamptz '2024-01-01' + ((hashint8(i + 7) & 2147483647) % 500000) * interval '1 minute',
       CASE WHEN i % 200 = 0 THEN now() END, jsonb_build_object('k', i % 5000, 'v', 'x' || i % 77),
       ARRAY['t' || i % 3000, 'u' || i % 7], i % 10 <> 0, repeat('y', 80)
FROM generate_series(1, {orders}) i;
CREATE INDEX orders_total ON orders (total);
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one query."""

    name: str
    wanted: bool
    advised: int
    gain: float

    @property
    def right(self) -> bool:
        """Found with a gain where an index is needed, nothing where none is."""
        return self.advised > 0 and self.gain >= GAIN if self.wanted else self.advised == 0

    @property
    def false_positive(self) -> bool:
        """Advised without a gain, or where none is needed."""
        return self.advised > 0 and (self.gain < GAIN or not self.wanted)


async def create_tables(url: str, *, orders: int) -> None:
    """Make the tables."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(TABLES.format(orders=orders, customers=orders // 2))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def run_benchmark(url: str) -> list[Outcome]:
    """Analyse each query alone, build what is advised, run the query before and after, and drop it again."""
    connection = await asyncpg.connect(url)
    outcomes = []
    try:
        for name, sql in {**NEED, **NEED_NONE}.items():
            report = await analyze(url, [sql])
            assert not report.skipped, report.skipped
            gain = await _gain(connection, sql, [index.ddl for index in report.indexes])
            outcomes.append(Outcome(name, name in NEED, len(report.indexes), gain))
    finally:
        await connection.close()
    return outcomes


async def _gain(connection: asyncpg.Connection, sql: str, indexes: Sequence[str]) -> float:
    if not indexes:
        return 1.0
    before = await _run(connection, sql)
    known = {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes")}
    for ddl in indexes:
        for part in ddl.rstrip(";").split("; "):
            await connection.execute(part)
    await connection.execute("VACUUM ANALYZE")
    after = await _run(connection, sql)
    for (name,) in await connection.fetch("SELECT indexname FROM pg_indexes WHERE NOT indexname = ANY($1)", known):
        await connection.execute(f'DROP INDEX "{name}"')
    return max(b / max(a, 0.001) for b, a in zip(before, after, strict=True))


async def _run(connection: asyncpg.Connection, sql: str) -> tuple[float, float]:
    """Buffers and milliseconds of the best of three runs."""
    runs = []
    for _ in range(3):
        plan = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}"))[0]
        runs.append((plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"], plan["Execution Time"]))
    return min(buffers for buffers, _ in runs), min(time for _, time in runs)


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line for people, and one for each query."""
    found = sum(outcome.right for outcome in outcomes if outcome.wanted)
    spared = sum(outcome.right for outcome in outcomes if not outcome.wanted)
    wrong = sum(outcome.false_positive for outcome in outcomes)
    lines = [f"{o.name:<24} {o.advised} advised, {o.gain:10,.1f}x {'right' if o.right else 'WRONG'}" for o in outcomes]
    head = f"{found} of {len(NEED)} found, {spared} of {len(NEED_NONE)} left alone, {wrong} false positives"
    return "\n".join([head, *lines])
