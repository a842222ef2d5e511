"""Counting statements, with the real parser."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.database.statements import StatementClass, fingerprint, normalize
from seawall.database.statistics import MOST_TEXTS, OTHERS, Statistics

READ = StatementClass.READ


@pytest.fixture
def statistics():
    return Statistics(fingerprint, normalize)


def test_texts_that_differ_in_literals_are_one_query(statistics):
    statistics.count("SELECT * FROM users WHERE email = 'ada@example.com'", READ, "db-1", 0.001, 1)
    statistics.count("SELECT * FROM users WHERE email = 'bob@example.com'", READ, "db-2", 0.003, 2)
    statistics.count("INSERT INTO users VALUES (1)", StatementClass.WRITE, "db-1", 0.1, -1)
    [first, second] = statistics.queries()
    assert (first.kind, first.count, first.rows) == (StatementClass.WRITE, 1, 0)
    assert (second.count, second.rows, second.nodes) == (2, 3, {"db-1": 1, "db-2": 1})
    assert "example.com" not in second.statement
    assert second.mean == pytest.approx(0.002)
    assert second.slowest == 0.003


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=50))
def test_quantiles_are_right_to_within_a_factor_of_two(times):
    statistics = Statistics(fingerprint, normalize)
    for seconds in times:
        statistics.count("SELECT 1", READ, "db", seconds, 1)
    [query] = statistics.queries()
    exact = sorted(times)[(len(times) - 1) // 2]
    assert exact <= query.median * 1.000001 + 1e-6
    assert query.median <= 2 * exact + 2e-6
    assert query.p99 <= query.slowest == max(times)


def test_memory_is_bounded(statistics):
    for number in range(MOST_TEXTS + 100):
        statistics.count(f"SELECT * FROM t{number:x}x", READ, "db", 0.001, 1)
    others = next(query for query in statistics.queries() if query.statement == OTHERS)
    assert others.count >= 99
    statistics.reset()
    assert statistics.queries() == []


@pytest.mark.usefixtures("eager_threads")
def test_no_run_is_lost_between_threads(statistics):
    def work() -> None:
        for _ in range(5_000):
            statistics.count("SELECT 1", READ, "primary", 0.5, 2)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()
    [query] = statistics.queries()
    assert (query.count, query.rows, query.seconds, query.nodes) == (20_000, 40_000, 10_000, {"primary": 20_000})
    assert statistics.nodes() == {"primary": 20_000}
