"""The advisor on SQLite files."""

import asyncio
import dataclasses
import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from seawall.database.advisor import AnalysisError, Report, analyze
from seawall.database.advisor import sqlite as sqlite_advisor
from seawall.database.advisor.report import Measured

TABLES = """
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, country TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people (id), status TEXT, total REAL, at TEXT);
CREATE TABLE small (id INTEGER PRIMARY KEY, name TEXT);
WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000)
INSERT INTO people SELECT i, 'p' || i || '@example.com', substr('DEFRUS', 1 + 2 * (i % 3), 2) FROM s;
WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 40000)
INSERT INTO orders SELECT i, 1 + (i * 7919) % 20000, CASE WHEN i % 100 = 0 THEN 'open' ELSE 'done' END, i % 1000,
                          datetime('2024-01-01', '+' || i || ' minutes') FROM s;
INSERT INTO small VALUES (1, 'a');
CREATE INDEX orders_total ON orders (total);
CREATE INDEX orders_total_id ON orders (total, at);
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("advisor") / "shop 1.sqlite"
    database = sqlite3.connect(path)
    database.executescript(TABLES)
    database.close()
    return path


def advised(file: Path, *statements: str) -> tuple[set[str], Report]:
    report = asyncio.run(analyze(f"sqlite:///{file}", list(statements)))
    return {index.ddl for index in report.indexes}, report


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT * FROM orders WHERE person = ?", "CREATE INDEX orders_person_idx ON orders (person);"),
        (
            "SELECT * FROM orders WHERE person = :who AND status = 'x'",
            "CREATE INDEX orders_person_idx ON orders (person);",
        ),
        (
            "SELECT * FROM people WHERE lower(email) = 'x'",
            "CREATE INDEX people_lower_email_idx ON people ((lower(email)));",
        ),
        (
            "SELECT * FROM people WHERE email LIKE 'p77%'",
            "CREATE INDEX people_email_idx ON people (email COLLATE NOCASE);",
        ),
        ("SELECT * FROM orders ORDER BY at DESC LIMIT 5", "CREATE INDEX orders_at_idx ON orders (at);"),
        ("UPDATE orders SET status = 'x' WHERE person = 5", "CREATE INDEX orders_person_idx ON orders (person);"),
    ],
)
def test_what_is_needed_is_found(file, sql, wanted):
    assert advised(file, sql)[0] == {wanted}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM small WHERE name = 'a'",
        "SELECT * FROM orders WHERE status = 'done'",
        "SELECT * FROM orders WHERE total = 5",
        "SELECT * FROM orders WHERE id = 5",
        "SELECT count(*) FROM orders",
    ],
)
def test_what_is_not_needed_is_not(file, sql):
    assert advised(file, sql)[0] == set()


def test_a_run_that_something_held_up_hides_no_index(file, monkeypatch):
    held_up: list[float] = []
    once = sqlite_advisor._Trial._run_once

    async def run(trial: Any) -> Measured:
        measured = await once(trial)
        if trial._built and not held_up:
            held_up.append(measured.milliseconds)
            measured = dataclasses.replace(measured, milliseconds=measured.milliseconds + 40)
        return measured

    monkeypatch.setattr(sqlite_advisor._Trial, "_run_once", run)
    assert len(advised(file, "SELECT * FROM orders WHERE person = 7")[0]) == 1
    assert held_up


def test_two_tables_are_searched_together(file):
    sql = "SELECT o.total FROM orders o JOIN people p ON p.id = o.person WHERE p.email = 'p7@example.com'"
    found, _ = advised(file, sql)
    assert "CREATE INDEX orders_person_idx ON orders (person);" in found


def test_the_file_is_only_read(file):
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    advised(file, "SELECT * FROM orders WHERE person = 1", "DELETE FROM orders WHERE person = 1", "DROP TABLE orders")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_what_the_parser_cannot_read_is_said(file):
    _, report = advised(file, "SELECT * FROM [orders] WHERE status GLOB 'secret*'")
    assert "can't read this SQLite syntax" in report.skipped[0].reason
    assert "secret" not in str(report.to_dict())


def test_existing_indexes_are_judged(file):
    _, report = advised(file, "SELECT 1 FROM small")
    kinds = {(found.kind, found.index) for found in report.problems}
    assert kinds == {("redundant", "orders_total"), ("foreign key", "")}


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "sqlite://", "sqlite:///:memory:"])
def test_a_missing_file_is_an_error_and_stays_missing(url):
    with pytest.raises(AnalysisError, match="there is no such file"):
        asyncio.run(analyze(url, ["SELECT 1"]))


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    file = tmp_path / "letter.txt"
    file.write_text("Dear reader, " * 500)
    with pytest.raises(AnalysisError, match="file is not a database"):
        asyncio.run(analyze(f"sqlite:///{file}", ["SELECT 1"]))


def test_statements_have_to_be_given(file):
    with pytest.raises(AnalysisError, match="--sql"):
        asyncio.run(analyze(f"sqlite:///{file}"))
