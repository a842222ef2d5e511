"""Runs of a cached endpoint: one serves all who ask meanwhile, whoever leaves, fails or is impatient."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request, Response

from seawall.cache import Freshness
from seawall.web.http_cache import http_cached
from tests.unit.web.conftest import Ask, Site


def test_one_run_serves_all_who_ask_meanwhile_whoever_leaves(site):
    finished: list[int] = []

    @site.get()
    async def endpoint() -> str:
        number = site.count()
        await asyncio.sleep(10)
        finished.append(number)
        return "done"

    async def main(ask: Ask) -> None:
        tasks = [asyncio.create_task(ask()) for _ in range(20)]
        await asyncio.sleep(1)
        for leaver in (tasks[0], tasks[7]):  # the first one is whose request it runs for
            leaver.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(answer, "text", None) for answer in answers].count('"done"') == 18
        assert (site.runs, finished) == (1, [1])

    site.run(main)


def test_a_run_that_nobody_waits_for_any_more_is_cancelled(site):
    ended: list[str] = []

    @site.get()
    async def endpoint() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "done"

    async def main(ask: Ask) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ask()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == ["cancelled"]

    site.run(main)


def test_a_stale_response_is_given_while_a_refresh_goes_through_the_whole_application(site):
    journal: list[str] = []

    site.app.add_middleware(Lending)
    sub = FastAPI()
    site.app.mount("/sub", sub)

    @sub.get("/")
    @http_cached(site.cache, ttl=10, stale_while_revalidate=60)
    async def endpoint(request: Request) -> str:
        number = site.count()
        await asyncio.sleep(1)
        journal.append(f"{number} {request.method} {request.url.path} {request.state.session['open']}")
        return str(number)

    async def main(ask: Ask) -> None:
        await ask("/sub/", if_none_match='"x"')
        await asyncio.sleep(15)
        began = site.clock.monotonic()
        assert [(await ask("/sub/")).json() for _ in range(3)] == ["1", "1", "1"]
        assert site.clock.monotonic() == began
        await asyncio.sleep(2)
        assert (await ask("/sub/")).json() == "2"
        assert journal == ["1 GET /sub/ True", "2 GET /sub/ True"]

    site.run(main)


def test_a_stale_response_stands_in_while_the_endpoint_fails():
    site = Site(pages=Freshness(ttl=10, jitter=0, fail_safe=600))
    failing: list[Any] = []

    @site.get(category="pages")
    async def endpoint() -> Response:
        site.count()
        if failing and failing[0] is ValueError:
            raise ValueError
        return Response("good" if not failing else "bad", failing[0] if failing else 200)

    async def main(ask: Ask) -> None:
        assert (await ask()).text == "good"
        for failure in (503, ValueError, 500):
            failing[:] = [failure]
            await asyncio.sleep(20)
            answer = await ask()
            assert (answer.status_code, answer.text) == (200, "good")
        assert int(answer.headers["age"]) == 60
        assert site.runs == 4
        again = await ask(cache_control="no-cache")
        assert again.status_code == 500
        assert (await ask()).text == "good"  # what a client asks for takes nothing from the others

    site.run(main)


def test_one_failure_answers_all_who_waited_and_is_forgotten(site):
    @site.get()
    async def endpoint() -> Response:
        number = site.count()
        await asyncio.sleep(1)
        return Response(str(number), 503, {"retry-after": "7"})

    async def main(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask() for _ in range(5)))
        assert {(each.status_code, each.text, each.headers["retry-after"]) for each in answers} == {(503, "1", "7")}
        assert (await ask()).text == "2"

    site.run(main)


def test_a_failure_with_a_cookie_is_one_persons(site):
    @site.get()
    async def endpoint() -> Response:
        number = site.count()
        await asyncio.sleep(1)
        return Response(status_code=503, headers={"set-cookie": f"session={number}"})

    async def main(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask() for _ in range(4)))
        assert len({each.headers["set-cookie"] for each in answers}) == 4

    site.run(main)


def test_no_stale_response_is_given_before_its_time_while_a_run_uses_the_request():
    site = Site(pages=Freshness(ttl=10, jitter=0, fail_safe=600, soft_timeout=1))

    @site.get(category="pages")
    async def endpoint() -> str:
        number = site.count()
        await asyncio.sleep(5)
        return str(number)

    async def main(ask: Ask) -> None:
        await ask()
        await asyncio.sleep(20)
        assert (await ask()).json() == "2"

    site.run(main)


class Lending:
    """A middleware that takes back what it lends a request as soon as that is over."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["session"] = session = {"open": True}
        try:
            await self.app(scope, receive, send)
        finally:
            session["open"] = False
            scope["state"].clear()


def test_what_the_request_is_lent_stays_until_the_work_behind_its_response_is_done(site):
    site.app.add_middleware(Lending)
    seen: list[bool] = []

    async def closing(request: Request) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(1)
        seen.append(request.state.session["open"])

    @site.get()
    async def endpoint(_: Annotated[None, Depends(closing)]) -> str:
        return "x"

    async def main(ask: Ask) -> None:
        await ask()
        await asyncio.sleep(2)
        assert seen == [True]

    site.run(main)


def test_a_run_keeps_its_scope_when_the_request_it_began_for_is_cancelled(site):
    site.app.add_middleware(Lending)

    @site.get()
    async def endpoint(request: Request) -> str:
        await asyncio.sleep(10)
        return f"{'session' in vars(request.state)['_state']}"

    async def main(ask: Ask) -> None:
        leaver, waiter = asyncio.create_task(ask()), asyncio.create_task(ask())
        await asyncio.sleep(1)
        leaver.cancel()
        assert (await waiter).json() == "True"

    site.run(main)


def test_an_exception_reaches_all_who_waited(site):
    @site.get()
    async def endpoint() -> None:
        site.count()
        await asyncio.sleep(1)
        raise ValueError

    async def main(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask() for _ in range(5)))
        assert [each.status_code for each in answers] == [500] * 5
        assert site.runs == 1

    site.run(main)
