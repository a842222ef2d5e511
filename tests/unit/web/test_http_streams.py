"""Streams, and work behind the response, of endpoints that are cached."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, Response
from fastapi.responses import StreamingResponse
from starlette.responses import PlainTextResponse

from tests.unit.web.conftest import Ask


@pytest.mark.parametrize("headers", [{}, {"cookie": "a"}])
def test_a_stream_is_handed_on_as_it_comes_to_each_his_own(site, headers):
    @site.get()
    async def endpoint() -> StreamingResponse:
        number = site.count()

        async def parts() -> AsyncIterator[str]:
            for each in range(3):
                yield f"{number}{each} "
                await asyncio.sleep(1)

        return StreamingResponse(parts())

    async def main(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask(**headers) for _ in range(3)))
        assert sorted(each.text for each in answers) == ["10 11 12 ", "20 21 22 ", "30 31 32 "]
        assert {"etag", "age"}.isdisjoint(answers[0].headers)
        assert answers[0].headers["cache-control"] == f"{'private' if headers else 'public'}, no-cache"
        head = await ask(method="HEAD", **headers)
        assert head.text == ""

    site.run(main)


def test_an_endless_stream_ends_with_its_reader(site):
    ended: list[int] = []

    @site.get()
    async def endpoint() -> StreamingResponse:
        number = site.count()

        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(1)
            finally:
                ended.append(number)

        return StreamingResponse(parts())

    async def main(ask: Ask) -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await ask()
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        assert ended == [1, 2]

    site.run(main)


@pytest.mark.parametrize("steps", range(10))
def test_a_stream_whose_reader_leaves_as_it_begins_ends(site, steps):
    ended: list[str] = []
    readers: list[asyncio.Task[Any]] = []

    def leave(left: int) -> None:
        if left:
            asyncio.get_running_loop().call_soon(leave, left - 1)
        else:
            readers[0].cancel()

    @site.get()
    async def endpoint() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                leave(steps)
                while True:
                    yield b"tick"
                    await asyncio.sleep(1)
            finally:
                ended.append("ended")

        return StreamingResponse(parts())

    async def main(ask: Ask) -> None:
        readers.append(asyncio.create_task(ask()))
        await asyncio.wait(readers)
        await asyncio.sleep(5)
        gc.collect()
        await asyncio.sleep(1)
        assert ended == ["ended"]
        assert len(asyncio.all_tasks()) == 1

    site.run(main)


def test_a_refresh_that_turns_out_to_stream_is_ended(site):
    ended: list[str] = []

    @site.get(ttl=10, stale_while_revalidate=60)
    async def endpoint() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(1)
            finally:
                ended.append("ended")

        return StreamingResponse(parts()) if site.count() > 1 else PlainTextResponse("whole")

    async def main(ask: Ask) -> None:
        await ask()
        await asyncio.sleep(15)
        assert (await ask()).text == "whole"
        await asyncio.sleep(5)
        gc.collect()
        await asyncio.sleep(1)
        assert (site.runs, ended) == (2, ["ended"])

    site.run(main)


def test_a_stream_that_breaks_off_breaks_off(site):
    @site.get()
    async def endpoint() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "begun"
            raise ValueError

        return StreamingResponse(parts())

    async def main(ask: Ask) -> None:
        assert (await ask()).text == "begun"

    site.run(main)


def test_work_behind_the_response_is_done_and_its_failure_logged(site, caplog):
    done: list[str] = []

    async def work() -> None:
        done.append("done")
        raise ValueError

    @site.get()
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(work)
        return "answer"

    async def main(ask: Ask) -> None:
        assert (await ask()).json() == "answer"
        await asyncio.sleep(1)
        assert done == ["done"]

    with caplog.at_level(logging.ERROR, "seawall.web"):
        site.run(main)
    assert "behind its response" in caplog.text
