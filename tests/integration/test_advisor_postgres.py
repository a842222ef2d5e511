"""The advisor on a real server: what it finds, and that it leaves nothing behind."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from seawall.database.advisor import AnalysisError, Report, Severity, Statement, analyze
from seawall.testing.postgres import Postgres

TABLES = """
CREATE EXTENSION pg_stat_statements;
CREATE TABLE people (id int PRIMARY KEY, email text, note text, at timestamptz, pad text);
INSERT INTO people SELECT i, 'p' || i || '@example.com', md5(i::text), timestamptz '2024-01-01' + i * interval '1 hour',
                          repeat('x', 80) FROM generate_series(1, 40000) i;
CREATE TABLE visits (id bigint, person int REFERENCES people, at timestamptz NOT NULL, kind int, cost int)
    PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2024-03-01');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2024-03-01') TO ('2025-01-01');
INSERT INTO visits SELECT i, 1 + i * 7 % 40000, timestamptz '2024-01-01' + i * interval '2 minutes', i % 5, i % 100
FROM generate_series(1, 100000) i;
CREATE VIEW recent AS SELECT id, email, note FROM people WHERE at > '2024-02-01';
CREATE TABLE doubled (id int PRIMARY KEY, n int, m int);
INSERT INTO doubled SELECT i, i, i FROM generate_series(1, 20000) i;
CREATE INDEX doubled_n ON doubled (n);
CREATE INDEX doubled_n_again ON doubled (n);
CREATE INDEX doubled_n_m ON doubled (n, m);
CREATE INDEX doubled_m ON doubled (m);
CREATE FUNCTION touched() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO doubled VALUES (-1, -1, -1); RETURN 1; END $$;
CREATE SEQUENCE numbers;
CREATE ROLE reader LOGIN PASSWORD 'geheim';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(config={"shared_preload_libraries": "pg_stat_statements"}) as running:
        running.psql(TABLES)
        running.psql("VACUUM ANALYZE")
        yield running


def advised(url: str, *statements: Statement | str, **options: Any) -> Report:
    return asyncio.run(analyze(url, list(statements), **options))


def ddl(report: Report) -> set[str]:
    return {index.ddl for index in report.indexes}


def left_behind(server: Postgres) -> str:
    return server.psql(
        "SELECT relname FROM pg_class WHERE relname LIKE 'seawall%' UNION ALL"
        " SELECT extname FROM pg_extension WHERE extname IN ('pg_trgm', 'hypopg')"
    )


def test_one_index_serves_several_statements(server):
    report = advised(
        server.url,
        Statement(sql="SELECT * FROM people WHERE email = $1", calls=9, seconds=2.0),
        "SELECT id FROM people WHERE email = 'p7@example.com' AND note = 'x'",
        "UPDATE people SET note = 'x' WHERE email = 'p8@example.com'",
        "SELECT id FROM recent WHERE email = 'p9@example.com'",
    )
    assert ddl(report) == {"CREATE INDEX CONCURRENTLY people_email_idx ON public.people (email);"}
    (index,) = report.indexes
    assert len(index.gains) == 4
    assert index.gains[0].calls == 9
    assert index.gains[0].assumed
    assert all(gain.factor > 10 for gain in index.gains)
    assert index.bytes > 500_000
    assert "example.com" not in str(report.to_dict())


def test_a_partitioned_table_is_indexed_as_a_whole(server):
    report = advised(server.url, "SELECT * FROM visits WHERE person = 77")
    assert ddl(report) == {"CREATE INDEX visits_person_idx ON public.visits (person);"}


def test_nothing_is_left_behind_and_nothing_is_locked(server):
    assert not left_behind(server)
    advised(server.url, "SELECT * FROM people WHERE note LIKE '%abc%'", "SELECT * FROM people WHERE email = 'x'")
    assert not left_behind(server)


def test_a_cancelled_analysis_leaves_nothing_behind(server):
    async def cancelled() -> None:
        connection = await asyncpg.connect(server.url)
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.4):
                    await analyze(connection, ["SELECT * FROM people WHERE email = 'x'"] * 200)
            assert not await connection.fetch("SELECT 1 FROM pg_class WHERE relname LIKE 'seawall%'")
            assert await connection.fetchval("SHOW statement_timeout") == "0"
        finally:
            await connection.close()

    asyncio.run(cancelled())
    assert not left_behind(server)


@pytest.mark.parametrize("function", ["touched()", "nextval('numbers')", "pg_advisory_lock(7)"])
def test_functions_with_effects_are_not_run(server, function):
    advised(server.url, f"SELECT {function}, id FROM people WHERE email = 'p5@example.com'")
    assert server.psql("SELECT count(*) FROM doubled WHERE id < 0") == "0"
    assert server.psql("SELECT is_called FROM numbers") == "f"


def test_statements_that_write_are_never_run(server):
    before = server.psql("SELECT count(*) FROM people")
    advised(
        server.url,
        "DELETE FROM people WHERE email LIKE 'p1%'",
        "WITH gone AS (DELETE FROM people WHERE note = 'x' RETURNING id) SELECT * FROM gone",
        "SELECT * FROM people WHERE note = 'x' FOR UPDATE",
        "SELECT 1; DROP TABLE people",
        "DROP TABLE people",
    )
    assert server.psql("SELECT count(*) FROM people") == before


def test_the_workload_comes_from_the_server(server):
    for _ in range(3):
        server.psql("SELECT id FROM people WHERE note = 'abc'")
    report = asyncio.run(analyze(server.url))
    gains = {gain.statement: gain.calls for index in report.indexes for gain in index.gains}
    assert gains["SELECT id FROM people WHERE note = $1"] >= 3


def test_existing_indexes_are_judged(server):
    problems = {(found.kind, found.index): found for found in advised(server.url, "SELECT 1").problems}
    assert ("duplicate", "doubled_n") in problems
    assert ("redundant", "doubled_n_again") in problems
    assert ("unused", "doubled_m") in problems
    assert not any(index == "doubled_pkey" for _, index in problems)
    assert ("foreign key", "") in problems


def test_what_cannot_be_analysed_is_said(server):
    report = advised(server.url, "SELECT * FROM nowhere", "selec 'secret'", "VACUUM", "SELECT nope FROM people")
    reasons = {skipped.statement: skipped.reason for skipped in report.skipped}
    assert reasons["SELECT * FROM nowhere"] == "names no table of this database"
    assert reasons["selec ?"] == "its syntax could not be read"
    assert "nope" in reasons["SELECT nope FROM people"]
    assert len(reasons) == 4


def test_a_rewrite_is_advised_in_the_place_of_an_index(server):
    report = advised(server.url, "SELECT * FROM people WHERE id::text = '5'")
    assert not report.indexes
    assert report.rewrites[0].rewrite == "id = $1::integer"
    assert report.fails(Severity.WARNING)


def test_a_replica_says_where_to_go(server):
    with server.replica() as replica:
        report = advised(replica.url, "SELECT * FROM people WHERE email = 'x'")
    assert not report.indexes
    assert "connect to the primary" in report.notes[0]


def test_a_user_without_rights_gets_reasons(server):
    server.psql("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    url = server.url.replace(f"postgres:{server.password}", "reader:geheim")
    report = advised(url, "SELECT * FROM people WHERE email = 'x'")
    server.psql("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")
    assert "GRANT TEMPORARY" in report.notes[0]
    assert ddl(advised(url, "SELECT * FROM people WHERE email = 'x'"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url, server: url.replace(server.password, "wrong"), "refuses user 'postgres'"),
        (lambda url, server: url.replace(f":{server.port}", ":1"), "can't be reached"),
        (lambda url, server: url + "_missing", "there is no database 'postgres_missing'"),
        (lambda url, server: url.replace("postgresql", "mysql"), "PostgreSQL and SQLite can be analysed"),
        (lambda url, server: "postgresql//nonsense", "the URL can't be read"),
    ],
)
def test_wrong_urls_end_in_clear_errors_without_the_password(server, change, words):
    url = change(server.url, server)
    with pytest.raises(AnalysisError) as caught:
        advised(url, "SELECT 1")
    assert words in str(caught.value)
    assert server.password not in str(caught.value)
    assert "wrong" not in str(caught.value)
