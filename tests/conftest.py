"""How property tests look for examples, and what becomes of a test that a busy machine let down.

Examples are the same ones at every run of `make test`, new ones in `make torture`. A test that failed while its process
stood still is run again, four times at most; the summary lists it as RERUN. One that fails on a machine at rest fails.
"""

import gc
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.starvation import StarvationWatch

settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

RERUNS = int(os.environ.get("RERUNS", "4"))
_watch = pytest.StashKey[StarvationWatch]()


def pytest_configure(config: pytest.Config) -> None:
    watch = config.stash[_watch] = StarvationWatch()
    watch.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _watch in config.stash:
        config.stash[_watch].stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The longest first, so that no worker is left alone with them at the end.
    items.sort(key=lambda item: item.path.parent.name != "journeys")
    starved = config.stash[_watch].starved
    for item in items:
        if item.path.parent.name != "architecture":
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, reruns_delay=0.5, condition=starved))


def pytest_collection_finish() -> None:
    # Thousands of tests are a large heap, which each of the many tests that collect garbage would walk through.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_watch].begin()


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns after a microsecond in place of five thousand, so what one may not interrupt shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
