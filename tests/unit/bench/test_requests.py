"""What the figures of the request suite hang on: where an answer ends, who is proved wrong, whose trace it is."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import bench.readme
from bench.children import Child, ChildError
from bench.load import Burst, _end
from bench.proof import Answer, prove
from bench.requests_shape import Layered, Place, traceparent

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Other: 9\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (_HEAD + b"hello", len(_HEAD) + 5),
        (_HEAD + b"helloHTTP/1.1 200 OK", len(_HEAD) + 5),
        (_HEAD + b"hell", None),
        (_HEAD[:-1], None),
        (_CHUNKED, len(_CHUNKED)),
        (_CHUNKED[:-2], None),
    ],
)
def test_an_answer_ends_where_its_head_says(data, end):
    assert _end(data) == end


async def _serve(answers: list[bytes]) -> tuple[asyncio.Server, int]:
    """A server that gives these answers in turn, an empty one by hanging up; and its port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answers:
            await reader.readuntil(b"\r\n\r\n")
            answer = answers.pop(0)
            if not answer:
                break
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def _loaded(answers: list[bytes], most: int) -> dict[str, float]:
    async def main() -> dict[str, float]:
        server, port = await _serve(answers)
        async with server:
            burst = Burst(port=port, path="/x/{}", status=200, connections=1, seconds=5.0, most=most)
            return await burst.run()

    return asyncio.run(main())


def test_a_request_whose_connection_is_closed_is_sent_again_and_counted_once():
    found = _loaded([_HEAD + b"hello", b"", _HEAD + b"hello", _HEAD + b"hello"], 3)
    assert (found["answers"], found["anew"]) == (3, 1)


def test_an_answer_that_is_none_of_those_wanted_ends_the_load():
    with pytest.raises(LookupError, match="503"):
        _loaded([_HEAD + b"hello", _HEAD.replace(b"200 OK", b"503 No") + b"hello"], 9)


def test_a_tenth_of_the_requests_is_part_of_a_trace_and_a_tenth_of_those_recorded():
    headers = [header for number in range(1_000) if (header := traceparent(number))]
    assert len(headers) == len(set(headers)) == 100
    assert sum(header.endswith("-01") for header in headers) == 10


def _proved(layered: Layered, answer: Answer, place: Place) -> None:
    async def ask(path: str, headers: Mapping[str, str]) -> Answer:
        return answer

    asyncio.run(prove(layered, place, ask, "item 7"))


def test_a_layer_that_does_not_do_what_it_claims_is_not_timed(tmp_path):
    place = Place(folder=tmp_path, sink="http://127.0.0.1:9/nobody")
    good = Answer(status=200, headers={"x-request-id": "7"}, body="item 7")
    _proved(Layered(app=None, headers=("x-request-id",)), good, place)
    with pytest.raises(LookupError, match="no x-frame-options in an answer"):
        _proved(Layered(app=None, headers=("x-frame-options", "x-request-id")), good, place)
    with pytest.raises(LookupError, match="no route in /metrics"):
        _proved(Layered(app=None, metrics=True), good, place)
    with pytest.raises(LookupError, match="answered 500"):
        _proved(Layered(app=None), Answer(status=500, headers={}, body=""), place)


def test_a_child_that_ends_tells_its_last_words(tmp_path):
    with Child("bench.no_such_module", folder=tmp_path) as child, pytest.raises(ChildError, match="no_such_module"):
        child.answer(20.0)


def test_the_table_of_the_readme_puts_the_seven_libraries_beside(monkeypatch, tmp_path):
    scenarios: dict[str, dict[str, list[dict[str, object]]]] = {}
    for scenario, _, figure, _, own, others in bench.readme.REQUESTS:
        rows = scenarios.setdefault(scenario, {"rows": []})["rows"]
        rows.append({"name": own, "figures": {figure: 0.5}})
        rows.extend({"name": name, "figures": {figure: 8}} for name in others)
    monkeypatch.setattr(bench.readme, "ROOT", Path(tmp_path))
    about = {"python": "CPython", "machine": "M", "measured": "now"}
    (tmp_path / "bench/results").mkdir(parents=True)
    (tmp_path / "bench/results/requests.json").write_text(json.dumps({"about": about, "scenarios": scenarios}))
    table = bench.readme.filled("<!-- bench requests -->\nold\n<!-- /bench -->\n")
    assert "old" not in table
    assert "| the same with both | **50%** | seven libraries 800% |" in table
