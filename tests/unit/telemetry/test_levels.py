"""Levels that change and change back."""

import logging
import time

import pytest

from seawall.core import OptionError
from seawall.telemetry.levels import Levels

NAME = "seawall.test.levels"


def test_a_level_changes_for_a_while_and_reverts_by_itself():
    levels, logger = Levels(), logging.getLogger(NAME)
    logger.setLevel("ERROR")
    levels.set(NAME, "debug", seconds=0.05)
    assert logger.level == logging.DEBUG
    levels.set(NAME, "INFO", seconds=0.1)  # once more: what it was first counts
    until = time.monotonic() + 5
    while logger.level != logging.ERROR:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert [level.reverts_in for level in levels.list() if level.logger == NAME] == [None]


def test_all_is_as_before_when_the_service_stops():
    levels, root = Levels(), logging.getLogger()
    before = root.level
    levels.set("root", "CRITICAL", seconds=60)
    levels.set(NAME, "DEBUG", seconds=60)
    levels.close()
    assert root.level == before


@pytest.mark.parametrize(("level", "seconds"), [("loud", 1.0), ("", 1.0), ("INFO", 0), ("INFO", 1e9), ("INFO", "soon")])
def test_what_cannot_be_is_refused(level, seconds):
    with pytest.raises(OptionError):
        Levels().set(NAME, level, seconds=seconds)
