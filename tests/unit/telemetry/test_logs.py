"""One line for a message, whatever is in it, with the ids of the work at hand and without secrets."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seawall.core import correlation
from seawall.core.correlation import Correlation
from seawall.telemetry.logs import Logs, api_call, bound, timed


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.fixture
def written() -> Iterator[Any]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    made: list[Logs] = []

    def written(**options: Any) -> Callable[[], str]:
        stream = io.StringIO()
        logs = Logs(stream=stream, **options)
        made.append(logs)

        def text() -> str:
            assert logs.sink.flush()
            return stream.getvalue()

        return text

    yield written
    for logs in made:
        logs.close()
    root.handlers[:], root.level = before


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "value", [float("nan"), CIRCLE, {(1, 2): 3}, Unspeakable(), {1, 2}, b"bytes", "\u2028\x85\x1b[31m"]
)
def test_whatever_extra_brings_the_line_is_one_json_object(written, value):
    text = written()
    logging.getLogger("x").warning("message", extra={"odd": value, "kept": 1})
    (line,) = text().splitlines()
    parsed = json.loads(line, parse_constant=pytest.fail)
    assert (parsed["message"], parsed["kept"]) == ("message", 1)
    assert "odd" in parsed


def test_extra_overrides_nothing_of_ours(written):
    text = written()
    logging.getLogger("x").warning("m", extra={"level": "none", "time": "never", "logger": "other"})
    line = json.loads(text())
    assert (line["level"], line["logger"]) == ("warning", "x")
    assert line["time"] != "never"


def test_stack_is_kept(written):
    text = written()
    logging.getLogger("x").warning("m", stack_info=True)
    assert "test_stack_is_kept" in json.loads(text())["stack"]


def test_readable_lines_cannot_be_forged(written):
    text = written(json_format=False)
    logging.getLogger("x").warning("GET /a\n2026-01-01 ERROR forged \x1b[31m\u2028 %s", "\r")
    assert len(text().splitlines()) == 1
    assert "\x1b" not in text()


@pytest.fixture
def work() -> Iterator[Correlation]:
    work = Correlation("r1", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    token = correlation.current.set(work)
    yield work
    correlation.current.reset(token)


def test_lines_have_the_ids_of_the_work_and_what_extra_brings(written, work):
    text = written()
    logging.getLogger("some").warning("two\nlines %s", 1, extra={"provider": "openai"})
    try:
        raise ValueError("the-inner-detail")
    except ValueError:
        logging.getLogger("some").exception("failed")
    first, second = map(json.loads, text().splitlines())
    assert (first["message"], first["provider"], first["level"]) == ("two\nlines 1", "openai", "warning")
    assert (first["request_id"], first["trace_id"], first["span_id"]) == ("r1", work.trace_id, work.span_id)
    assert "time" in first
    assert "ValueError" in second["exception"]


def test_what_is_bound_is_on_every_line_also_in_tasks_and_threads(written, work):
    text = written()
    work.bind(user="u7", password="sesame")

    async def main() -> None:
        with bound(job="j1"):
            logging.getLogger("x").warning("here")
            await asyncio.create_task(asyncio.to_thread(logging.getLogger("x").warning, "in a thread"))
        logging.getLogger("x").warning("after")

    asyncio.run(main())
    here, thread, after = map(json.loads, text().splitlines())
    assert (here["user"], here["job"], here["request_id"]) == ("u7", "j1", "r1")
    assert (thread["user"], thread["job"], thread["request_id"]) == ("u7", "j1", "r1")
    assert "job" not in after
    assert "sesame" not in text()


def test_a_bare_thread_has_no_work(written, work):
    text = written()
    thread = threading.Thread(target=logging.getLogger("x").warning, args=("alone",))
    thread.start()
    thread.join()
    assert "request_id" not in json.loads(text())


def test_secrets_are_not_written(written):
    text = written()
    logging.getLogger("x").warning(
        "connecting to postgresql://app:sesame@db/app with Bearer abcdef1234567890",
        extra={"api_key": "sesame", "headers": {"Authorization": "Basic c2VzYW1l", "accept": "*/*"}},
    )
    line = json.loads(text())
    assert "sesame" not in text()
    assert "abcdef1234567890" not in text()
    assert line["headers"]["accept"] == "*/*"
    assert "postgresql://app:[hidden]@db/app" in line["message"]


def test_arguments_that_do_not_fit_cost_no_line_and_raise_nothing(written):
    text = written()
    logging.getLogger("x").warning("%d of %d", "one")  # noqa: PLE1206
    assert "can't be formatted" in text()


def test_levels_of_single_loggers(written):
    text = written(level="WARNING", loggers={"seawall.test.loud": "DEBUG"})
    logging.getLogger("seawall.test.loud").debug("heard")
    logging.getLogger("seawall.test.other").info("not heard")
    assert [json.loads(line)["message"] for line in text().splitlines()] == ["heard"]
    logging.getLogger("seawall.test.loud").setLevel(logging.NOTSET)


def test_operations_and_calls_of_providers_are_timed_and_what_was_said_is_not_logged(written):
    text = written()
    with timed("import", rows=3, name="kept"):
        pass
    with pytest.raises(ValueError, match="secret"), timed("import"):
        raise ValueError("secret")
    with api_call("openai", "gpt-5") as call:
        call.tokens = 42
    done, failed, called = map(json.loads, text().splitlines())
    assert (done["operation"], done["rows"], done["name_"], done["level"]) == ("import", 3, "kept", "info")
    assert done["duration_ms"] >= 0
    assert (failed["failed"], failed["level"]) == ("ValueError", "warning")
    assert "secret" not in text()
    assert (called["provider"], called["model"], called["tokens"]) == ("openai", "gpt-5", 42)


def test_lines_are_counted_by_level(written):
    counted: list[str] = []
    text = written(count=counted.append)
    logging.getLogger("x").warning("one")
    logging.getLogger("x").error("two")
    assert len(text().splitlines()) == 2
    assert counted == ["warning", "error"]
