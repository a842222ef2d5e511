"""One line for a message, whatever is in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from seawall.telemetry import logs


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.fixture
def written() -> Iterator[Any]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()

    def configure(**options: Any) -> io.StringIO:
        logs.configure(stream=stream, **options)
        return stream

    yield configure
    root.handlers[:], root.level = before


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "value", [float("nan"), CIRCLE, {(1, 2): 3}, Unspeakable(), {1, 2}, b"bytes", "\u2028\x85\x1b[31m"]
)
def test_whatever_extra_brings_the_line_is_one_json_object(written, value):
    stream = written()
    logging.getLogger("x").warning("message", extra={"odd": value, "kept": 1})
    (line,) = stream.getvalue().splitlines()
    parsed = json.loads(line, parse_constant=pytest.fail)
    assert (parsed["message"], parsed["kept"]) == ("message", 1)
    assert "odd" in parsed


def test_extra_overrides_nothing_of_ours(written):
    stream = written()
    logging.getLogger("x").warning("m", extra={"level": "none", "time": "never", "logger": "other"})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"]) == ("warning", "x")
    assert line["time"] != "never"


def test_stack_is_kept(written):
    stream = written()
    logging.getLogger("x").warning("m", stack_info=True)
    assert "test_stack_is_kept" in json.loads(stream.getvalue())["stack"]


def test_readable_lines_cannot_be_forged(written):
    stream = written(json_format=False)
    logging.getLogger("x").warning("GET /a\n2026-01-01 ERROR forged \x1b[31m\u2028 %s", "\r")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
