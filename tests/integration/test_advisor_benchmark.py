"""The advisor's figure: what it finds of what is needed, and how often it is wrong."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from seawall.testing.postgres import Postgres
from tests.integration.advisor_benchmark import create_tables, run_benchmark, summary


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


def check(url: str, orders: int) -> None:
    asyncio.run(create_tables(url, orders=orders))
    outcomes = asyncio.run(run_benchmark(url))
    sys.stdout.write(summary(outcomes) + "\n")
    assert all(outcome.right for outcome in outcomes), summary(outcomes)
    assert not any(outcome.false_positive for outcome in outcomes)


def test_on_small_tables_every_needed_index_is_found_and_no_other(server):
    check(server.url, orders=30_000)


@pytest.mark.torture
def test_on_large_tables_every_needed_index_is_found_and_no_other():
    with Postgres() as own:
        check(own.url, orders=400_000)
