"""structlog's lines are those of the standard library: same form, same ids, no secrets."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from seawall import Seawall
from seawall.core import correlation
from seawall.core.correlation import Correlation
from seawall.telemetry.logs import Logs, bound
from seawall.telemetry.structlog import configure

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """structlog, configured by us, and what it has written."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    structlog.reset_defaults()
    stream = io.StringIO()
    logs = Logs(stream=stream)
    assert configure()

    def written() -> list[dict[str, Any]]:
        assert logs.sink.flush()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield written
    logs.close()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = before


def test_line_has_the_form_of_all_lines(lines):
    token = correlation.current.set(Correlation("request", "1" * 32, "2" * 16))
    structlog.contextvars.bind_contextvars(tenant=3)
    with bound(batch=4):
        structlog.get_logger().bind(user="u").info("paid", amount=5, api_key="k", note="password=hunter2hunter2")
        logging.getLogger(__name__).info("paid", extra={"tenant": 3, "user": "u", "amount": 5, "api_key": "k"})
    correlation.current.reset(token)
    ours, standard = lines()
    assert {**ours, "time": 0} == {**standard, "time": 0, "note": "password=[hidden]"}
    assert (ours["request_id"], ours["logger"], ours["batch"], ours["api_key"]) == ("request", __name__, 4, "[hidden]")


def test_names_that_records_have_are_no_obstacle(lines):
    structlog.get_logger("shop").warning("100 % of it", name="n", message="m", args=1, module="x", exc_info=None)
    (line,) = lines()
    assert (line["message"], line["logger"], line["level"]) == ("100 % of it", "shop", "warning")
    assert (line["name_"], line["message_"], line["args_"], line["module_"]) == ("n", "m", 1, "x")


def test_arguments_are_put_into_the_message(lines):
    structlog.get_logger().info("%s of %d", "one", 2)
    assert lines()[0]["message"] == "one of 2"


def test_exception_comes_with_its_traceback(lines):
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: why")


def test_levels_are_those_of_logging(lines):
    logging.getLogger("quiet").setLevel(logging.ERROR)
    structlog.get_logger("quiet").warning("unheard")
    structlog.get_logger("quiet").error("heard")
    assert [line["message"] for line in lines()] == ["heard"]


def test_no_class_of_loggers_is_replaced(lines):
    structlog.get_logger("any").info("x")
    assert logging.getLoggerClass() is logging.Logger


def test_what_the_app_has_configured_stays():
    structlog.reset_defaults()
    processors = [structlog.processors.JSONRenderer()]
    structlog.configure(processors=processors)
    try:
        assert not configure()
        assert structlog.get_config()["processors"] is processors
    finally:
        structlog.reset_defaults()


def test_service_with_logs_configures_it_where_the_app_uses_it():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    structlog.reset_defaults()
    logs = Logs(stream=io.StringIO())
    try:
        Seawall(service="test", logs=logs)
        assert structlog.is_configured()
    finally:
        logs.close()
        structlog.reset_defaults()
        root.handlers[:], root.level = before


def test_service_does_not_import_it_for_nobody():
    code = (
        "import io, sys; from seawall import Seawall; from seawall.telemetry.logs import Logs;"
        "Seawall(service='test', logs=Logs(stream=io.StringIO())); print('structlog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
