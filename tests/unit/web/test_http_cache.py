"""What is given from the cache of an endpoint: to whom, for how long, and by what it is told apart."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from seawall.web.http_cache import http_cached
from tests.unit.web.conftest import Ask, plain


def test_a_stored_response_is_given_with_its_age_until_it_is_too_old(site):
    plain(site, ttl=60)

    async def main(ask: Ask) -> None:
        first = await ask()
        assert (first.text, first.headers.get("age")) == ("1", None)
        await asyncio.sleep(59.9)
        second = await ask()
        assert (second.text, second.headers["age"]) == ("1", "59")
        assert second.headers["content-type"] == "text/plain; charset=utf-8"
        assert second.headers["content-length"] == "1"
        await asyncio.sleep(0.2)
        assert (await ask()).text == "2"

    site.run(main)


def test_invalidating_a_tag_made_of_validated_parameters_voids_the_response(site):
    tenant = UUID("0a0a0a0a-0000-0000-0000-000000000001")

    class Owner:
        name = "ann"

    async def owned() -> Owner:
        return Owner()

    @site.get("/{tenant_id}", tags=["tenant:{tenant_id}", "page:{page}", "owner:{owner.name}"])
    async def podcasts(
        tenant_id: UUID, request: Request, owner: Annotated[Owner, Depends(owned)], page: int = 1
    ) -> str:
        return f"{request.url.path} {site.count()}"

    async def main(ask: Ask) -> None:
        path = f"/{str(tenant).upper()}?page=007"
        runs = [(await ask(path)).text]
        for tag in (f"tenant:{tenant}", "page:7", "owner:ann", "tenant:another"):
            await site.cache.invalidate(tag)
            runs.append((await ask(path)).text)
        assert [text[-2] for text in runs] == ["1", "2", "3", "4", "4"]

    site.run(main)


def test_response_model_dependencies_and_openapi_stay_as_they_were(site):
    class Podcast(BaseModel):
        title: str

    class Secret(Podcast):
        token: str

    opened: list[str] = []

    async def session() -> AsyncIterator[str]:
        opened.append("open")
        yield "session"
        opened.append("closed")

    async def work() -> None:
        opened.append("work")

    def declare(app: FastAPI, mark: Callable[[Any], Any]) -> Any:
        @app.get("/{name}", response_model=Podcast)
        @mark
        async def podcast(
            name: str,
            request: Request,
            tasks: BackgroundTasks,
            session: Annotated[str, Depends(session)],
            limit: int = 3,
        ) -> Any:
            """What a podcast is."""
            tasks.add_task(work)
            return Secret(title=f"{name} {session} {limit}", token="hidden")

        return app.openapi()

    assert declare(site.app, http_cached(site.cache, tags=["podcast:{name}"])) == declare(FastAPI(), lambda fn: fn)

    async def main(ask: Ask) -> None:
        for _ in range(2):
            assert (await ask("/news")).json() == {"title": "news session 3"}
        assert opened == ["open", "work", "closed"]
        assert (await ask("/news?limit=x")).status_code == 422

    site.run(main)


@pytest.mark.parametrize(
    ("options", "one", "other", "same"),
    [
        ({}, "/?b=2&a=1", "/?a=1&b=2", True),
        ({}, "/?a=1&a=2", "/?a=2&a=1", False),
        ({}, "/?a=1", "/?a=1&b=", False),
        ({}, "/?a=%ff", "/?a=%fe", False),
        ({}, "/?a=1%26b=2", "/?a=1&b=2", False),
        ({"ignore_query": ["utm"]}, "/?a=1&utm=x", "/?a=1", True),
        ({"query": ["a"]}, "/?a=1&utm=x", "/?a=1&fbclid=y", True),
        ({"query": ["a"]}, "/?a=1", "/?a=2", False),
        ({}, "http://site/", "http://other/", False),
        ({}, "http://site/", "https://site/", False),
    ],
)
def test_the_query_and_the_host_are_part_of_the_key(site, options, one, other, same):
    plain(site, **options)

    async def main(ask: Ask) -> None:
        assert ((await ask(one)).text == (await ask(other)).text) is same

    site.run(main)


def test_declared_configured_and_discovered_headers_tell_responses_apart(site):
    class Shape(BaseModel):
        x_unit: str = "m"

    async def region(x_region: Annotated[str, Header()] = "eu") -> str:
        return x_region

    @site.get(vary=["X-Theme"])
    async def varied(
        request: Request, response: Response, shape: Annotated[Shape, Header()], region: Annotated[str, Depends(region)]
    ) -> str:
        response.headers["vary"] = "Accept-Language"
        return f"{site.count()}"

    async def main(ask: Ask) -> None:
        first = await ask()
        assert first.headers["vary"] == "accept-language, x-region, x-theme, x-unit, authorization, cookie"
        seen = {}
        for header in ("x_region", "x_theme", "x_unit", "accept_language"):
            seen[header] = (await ask(**{header: "other"})).text
            assert (await ask(**{header: "other"})).text == seen[header]
        assert len(set(seen.values())) == 4
        assert (await ask(x_unknown="other")).text == (await ask()).text

    site.run(main)


def test_what_a_response_varies_on_is_never_given_to_those_who_waited_for_another(site):
    @site.get()
    async def greeting(request: Request) -> Response:
        site.count()
        await asyncio.sleep(1)
        return PlainTextResponse(request.headers["accept-language"], headers={"vary": "accept-language"})

    async def main(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask(accept_language=each) for each in ("de", "en", "de", "fr")))
        assert [answer.text for answer in answers] == ["de", "en", "de", "fr"]
        runs = site.runs
        answers = await asyncio.gather(*(ask(accept_language=each) for each in ("de", "en", "fr")))
        assert [answer.text for answer in answers] == ["de", "en", "fr"]
        assert site.runs <= runs + 1  # the first one was made before anybody knew of what it depends on

    site.run(main)
