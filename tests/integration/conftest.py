"""The provider stubs as fixtures: one process a module, without faults or counts at the start of each test."""

from collections.abc import Iterator

import pytest

from podcasts.stubs.client import Stubs, start_stubs
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
