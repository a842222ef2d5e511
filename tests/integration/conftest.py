"""Real servers as fixtures: provider stubs, one process a module; Valkey, one a run, and one a test that breaks it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from podcasts.stubs.client import Stubs, start_stubs
from seawall.testing.postgres import Postgres
from seawall.testing.valkey import Valkey
from tests.integration.stub_calls import LATENCY


@pytest.fixture(scope="module")
def process() -> Iterator[Stubs]:
    with start_stubs(latency=LATENCY) as running:
        yield running


@pytest.fixture
def stubs(process: Stubs) -> Stubs:
    process.clear()
    process.zero_requests()
    return process


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of the server that the whole run shares: REDIS_URL's, or a Valkey for each worker."""
    if url := os.environ.get("REDIS_URL"):
        yield url
    else:
        with Valkey() as running:
            yield running.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The shared server's URL. Others wrote to it, so take keys of your own."""
    return redis_server


@pytest.fixture
def make_valkey() -> Iterator[Callable[..., Valkey]]:
    """Start servers for this test alone, which may stop, kill and configure them."""
    with ExitStack() as running:

        def make(**options: Any) -> Valkey:
            return running.enter_context(Valkey(**options))

        yield make


@pytest.fixture
def valkey(make_valkey: Callable[..., Valkey]) -> Valkey:
    """A server of this test's own, empty."""
    return make_valkey()


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL primary and its streaming replicas."""

    primary: Postgres
    replicas: tuple[Postgres, ...]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A primary and two replicas for the tests of a module, which leave them running and in their roles."""
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(), primary.replica()))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of this test's own, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    primary: Postgres = request.getfixturevalue("cluster").primary
    name = f"test_{uuid4().hex}"
    primary.psql(f"CREATE DATABASE {name}")
    return primary.url.removesuffix(f"/{primary.database}") + f"/{name}"
