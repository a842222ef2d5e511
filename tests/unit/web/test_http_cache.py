"""HTTP caching, spoken to through ASGI: what is given to whom, what is kept, and that one run serves all who wait."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from seawall import Seawall
from seawall.cache import Cache, Freshness, MemoryTier
from seawall.core import OptionError
from seawall.settings import Settings
from seawall.testing import FakeClock, virtual_time
from seawall.web.http_cache import http_cached, install_http_cache

Ask = Callable[..., Coroutine[Any, Any, httpx2.Response]]


class Site:
    """An application with a cache, and a count of its endpoint's runs."""

    def __init__(self, **categories: Freshness) -> None:
        self.clock = FakeClock()
        self.cache = Cache(MemoryTier(), categories=categories, clock=self.clock, freshness=Freshness(jitter=0))
        self.app = FastAPI()
        self.runs = 0

    def get(self, path: str = "/", **options: Any) -> Callable[[Any], Any]:
        """A cached route; its endpoint's result gets the number of the run where it is a string."""
        methods = options.pop("methods", ["GET", "HEAD"])

        def decorate(endpoint: Any) -> Any:
            return self.app.api_route(path, methods=methods)(http_cached(self.cache, **options)(endpoint))

        return decorate

    def count(self) -> int:
        self.runs += 1
        return self.runs

    def run(self, main: Callable[[Ask], Awaitable[None]], *, threads: bool = False) -> None:
        """Run a test against the application, in virtual time; in real time where it uses threads."""
        install_http_cache(self.app)
        if threads:
            asyncio.run(self._main(main))
        else:
            virtual_time.run(self._main(main), clock=self.clock)

    async def _main(self, main: Callable[[Ask], Awaitable[None]]) -> None:
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with self.cache, httpx2.AsyncClient(transport=transport, base_url="http://site") as http:

            async def ask(path: str = "/", method: str = "GET", **headers: str) -> httpx2.Response:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await http.request(method, path, headers={"accept-encoding": "identity"} | named)

            await main(ask)


@pytest.fixture
def site() -> Site:
    return Site()


def plain(site: Site, **options: Any) -> None:
    """An endpoint at / that answers with the number of its run."""

    @site.get(**options)
    async def numbered() -> Response:
        return PlainTextResponse(str(site.count()))


# Stored responses.


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


# What is not stored, and who is not given what is.


@pytest.mark.parametrize(
    "answer",
    [
        Response("x", headers={"set-cookie": "a=b"}),
        Response("x", headers={"cache-control": "private, max-age=60"}),
        Response("x", headers={"cache-control": "max-age=60, no-store"}),
        Response("x", headers={"cache-control": 'no-cache="set-cookie"'}),
        Response("x", headers={"cache-control": "max-age=0"}),
        Response("x", headers={"cache-control": "max-age=60, s-maxage=0"}),
        Response("x", headers={"vary": "accept, *"}),
        Response("x", 404),
        Response("x", 302),
        Response("x", 403),
        Response("x", 500),
        Response("x", 206),
        Response("x" * 101),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.raw_headers[1:]}",
)
def test_what_must_not_be_stored_is_not(site, answer):
    @site.get(max_bytes=100)
    async def endpoint() -> Response:
        return Response(answer.body + str(site.count()).encode(), answer.status_code, dict(answer.headers.items()))

    answer.headers.__delitem__("content-length")

    async def main(ask: Ask) -> None:
        found = [await ask() for _ in range(3)]
        assert [each.text[-1] for each in found] == ["1", "2", "3"]
        assert {each.headers.get("age") for each in found} == {None}
        assert found[0].headers.get("set-cookie") == answer.headers.get("set-cookie")

    site.run(main)


@pytest.mark.parametrize(
    ("status", "options", "kept"),
    [
        (200, {}, True),
        (203, {}, True),
        (204, {}, True),
        (301, {}, True),
        (404, {}, False),
        (404, {"statuses": [404]}, True),
    ],
)
def test_statuses_are_stored_as_allowed(site, status, options, kept):
    @site.get(**options)
    async def endpoint() -> Response:
        return Response(status_code=status, headers={"x-run": str(site.count())})

    async def main(ask: Ask) -> None:
        found = [await ask() for _ in range(2)]
        assert [each.headers["x-run"] for each in found] == (["1", "1"] if kept else ["1", "2"])
        assert {each.status_code for each in found} == {status}

    site.run(main)


def test_an_http_exception_can_be_stored_too_unless_its_tags_are_unknown(site):
    async def found(name: str) -> None:
        if name == "never":
            raise HTTPException(404)

    @site.get("/{name}", statuses=[404], tags=["name:{name}"], ttl=300)
    async def endpoint(name: str, _: Annotated[None, Depends(found)]) -> None:
        raise HTTPException(404, f"{site.count()}")

    async def main(ask: Ask) -> None:
        assert [(await ask("/a")).json()["detail"] for _ in range(2)] == ["1", "1"]
        await site.cache.invalidate("name:a")
        assert (await ask("/a")).json()["detail"] == "2"
        assert "age" not in {name for _ in range(2) for name in (await ask("/never")).headers}

    site.run(main)


PERSONAL: list[dict[str, str]] = [{"authorization": "Bearer a"}, {"cookie": "id=7"}, {"x_api_key": "secret"}]


@pytest.mark.parametrize("headers", PERSONAL)
def test_who_says_who_he_is_shares_nothing(site, headers):
    key = APIKeyHeader(name="X-API-Key", auto_error=False)

    @site.get(max_age=30)
    async def endpoint(_: Annotated[str | None, Depends(key)]) -> str:
        return f"{site.count()}"

    async def main(ask: Ask) -> None:
        asks: list[dict[str, str]] = [{}, headers, headers, {}]
        runs = [(await ask(**each)).text for each in asks]
        assert runs == ['"1"', '"2"', '"3"', '"1"']
        personal = await ask(**headers)
        assert personal.headers["cache-control"] == "private, max-age=30"
        assert {"cookie", "authorization", "x-api-key"} <= set(personal.headers["vary"].split(", "))
        again = await ask(**headers, if_none_match='"nothing", *')
        assert again.status_code == 200

    site.run(main)


def test_two_who_ask_at_once_never_share_what_is_one_persons(site):
    @site.get()
    async def endpoint(request: Request) -> Response:
        number = site.count()
        await asyncio.sleep(1)
        return PlainTextResponse(str(number), headers={"set-cookie": f"session={number}"})

    async def main(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask() for _ in range(5)))
        assert len({answer.headers["set-cookie"] for answer in answers}) == 5
        began = site.clock.monotonic()
        await asyncio.gather(*(ask() for _ in range(5)))
        assert site.clock.monotonic() - began == 1.0  # and don't wait for each other, now that it is known

    site.run(main)


def test_shared_when_authorized_gives_all_the_same(site):
    plain(site, shared_when_authorized=True, max_age=5)

    async def main(ask: Ask) -> None:
        answers = [await ask(**headers) for headers in PERSONAL]
        assert {answer.text for answer in answers} == {"1"}
        assert answers[1].headers["cache-control"] == "public, max-age=5"
        assert "vary" not in answers[1].headers

    site.run(main)


def test_vary_on_user_keeps_each_users_own(site):
    async def user(request: Request) -> str | None:
        return request.headers.get("x-verified-user")

    plain(site, vary_on_user=user, max_age=5, s_maxage=9)

    async def main(ask: Ask) -> None:
        ann, bob = {"x_verified_user": "ann", "cookie": "a"}, {"x_verified_user": "bob", "authorization": "b"}
        runs = [(await ask(**each)).text for each in (ann, bob, ann, bob, {}, {"cookie": "a"}, {"cookie": "a"}, {})]
        assert runs == ["1", "2", "1", "2", "3", "4", "5", "3"]
        assert (await ask(**ann)).headers["cache-control"] == "private, max-age=5"
        assert (await ask()).headers["cache-control"] == "public, max-age=5, s-maxage=9"

    site.run(main)


def test_headers_of_one_exchange_are_not_stored(site):
    own = {
        "x-request-id": "1",
        "connection": "x-hop",
        "x-hop": "1",
        "server-timing": "db",
        "traceparent": "00",
        "x-kept": "1",
    }

    @site.get()
    async def endpoint() -> Response:
        return Response("x", headers=own)

    async def main(ask: Ask) -> None:
        first, second = await ask(), await ask()
        assert own.items() <= dict(first.headers).items()
        assert set(second.headers) == set(first.headers) - (own.keys() - {"x-kept"}) | {"age"}

    site.run(main)


def test_cors_headers_are_each_origins_own(site):
    plain(site)
    site.app.add_middleware(CORSMiddleware, allow_origins=["http://a", "http://b"])

    async def main(ask: Ask) -> None:
        assert (await ask(origin="http://a")).headers["access-control-allow-origin"] == "http://a"
        stored = await ask(origin="http://b")
        assert (stored.headers["access-control-allow-origin"], stored.headers["age"]) == ("http://b", "0")
        assert "access-control-allow-origin" not in (await ask()).headers

    site.run(main)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_pass(site, method):
    plain(site, methods=["GET", method])

    async def main(ask: Ask) -> None:
        assert (await ask()).text == "1"
        changed = await ask(method=method, if_none_match="*")
        assert (changed.text, changed.status_code, "etag" in changed.headers) == ("2", 200, False)
        assert (await ask()).text == "1"

    site.run(main)


def test_a_request_with_a_range_is_the_endpoints(site, tmp_path):
    file = tmp_path / "file"
    file.write_text("0123456789")

    @site.get()
    def endpoint() -> Response:
        site.count()
        return FileResponse(file)

    async def main(ask: Ask) -> None:
        part = await ask(range="bytes=2-4")
        assert (part.status_code, part.text) == (206, "234")
        whole = await ask()
        assert (whole.text, site.runs) == ("0123456789", 2)
        unchanged = await ask(if_none_match=whole.headers["etag"])
        assert (unchanged.status_code, unchanged.text) == (304, "")
        head = await ask(method="HEAD")
        assert (head.text, head.headers["content-length"]) == ("", "10")

    site.run(main, threads=True)


def test_what_varies_on_too_much_is_not_stored_and_who_sends_cookies_is_no_variant(site):
    @site.get("/{many}")
    async def endpoint(many: int) -> Response:
        vary = ", ".join(f"x-{number}" for number in range(many)) or "Cookie, Authorization"
        return PlainTextResponse(str(site.count()), headers={"vary": vary})

    async def main(ask: Ask) -> None:
        assert [(await ask("/0")).text for _ in range(3)] == ["1", "1", "1"]
        assert [(await ask("/9")).text for _ in range(3)] == ["2", "3", "4"]
        assert [(await ask("/8")).text for _ in range(3)] == ["5", "6", "6"]

    site.run(main)


def test_a_declared_cookie_tells_shared_responses_apart(site):
    @site.get(shared_when_authorized=True)
    async def endpoint(theme: Annotated[str, Cookie()] = "light") -> str:
        return theme

    async def main(ask: Ask) -> None:
        found = [(await ask(**headers)).json() for headers in ({"cookie": "theme=dark"}, {"cookie": "theme=red"})]
        assert (found, (await ask()).headers["vary"]) == (["dark", "red"], "cookie")

    site.run(main)


# Conditional requests and HEAD.


def test_what_is_made_for_all_is_not_made_as_one_clients_conditions_say(site):
    @site.get()
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("whole", 304 if "if-none-match" in request.headers else 200)

    async def main(ask: Ask) -> None:
        assert (await ask(if_none_match='"x"')).status_code == 200
        assert (await ask(if_none_match='"y"')).headers["age"] == "0"

    site.run(main)


def test_the_entity_tag_is_the_contents(site):
    @site.get("/{text}")
    async def endpoint(text: str) -> Response:
        return PlainTextResponse(text)

    async def main(ask: Ask) -> None:
        # Written down, so that no release gives every client's copy up by accident.
        assert (await ask("/seawall")).headers["etag"] == '"59a61c0313e64aba071fce8083f6f857"'
        assert (await ask("/other")).headers["etag"] != (await ask("/seawall")).headers["etag"]

    site.run(main)


ETAG, DATE = '"v1"', "Thu, 01 Jan 2026 00:00:00 GMT"
BEFORE, AFTER = "Wed, 31 Dec 2025 23:59:59 GMT", "Thu, 01 Jan 2026 00:00:01 GMT"


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": f"W/{ETAG}"}, 304),
        ({"if_none_match": f'"a,b", W/"c" ,{ETAG}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"v2"'}, 200),
        ({"if_none_match": "v1"}, 200),
        ({"if_none_match": '"*"'}, 200),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": AFTER}, 304),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_none_match": '"v2"', "if_modified_since": AFTER}, 200),
        ({"if_none_match": ETAG, "if_modified_since": BEFORE}, 304),
        ({"if_match": ETAG}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": f"W/{ETAG}"}, 412),
        ({"if_match": '"v2"'}, 412),
        ({"if_match": '"v2"', "if_none_match": ETAG}, 412),
        ({"if_match": ETAG, "if_none_match": ETAG}, 304),
        ({"if_match": ETAG, "if_unmodified_since": BEFORE}, 200),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": DATE}, 200),
    ],
)
def test_preconditions_in_the_order_of_rfc_9110(site, conditions, status, stored):
    headers = {"etag": ETAG, "last-modified": DATE, "content-language": "en", "content-location": "/v1", "expires": "0"}

    @site.get()
    async def endpoint() -> Response:
        return Response("body", headers=headers | ({} if stored else {"cache-control": "no-store"}))

    async def main(ask: Ask) -> None:
        await ask()
        answer = await ask(**conditions)
        assert answer.status_code == status
        assert answer.text == ("body" if status == 200 else "")
        if status == 412:
            assert answer.headers["content-length"] == "0"
        if status == 304:
            assert {"etag", "cache-control", "vary", "content-location", "expires"} <= set(answer.headers)
            assert not {"content-length", "content-type", "content-language", "last-modified"} & set(answer.headers)

    site.run(main)


def test_a_date_is_no_condition_where_the_endpoint_gives_none_nor_on_an_error(site):
    @site.get("/{status}", statuses=[200, 404])
    async def endpoint(status: int) -> Response:
        return Response("x", status)

    async def main(ask: Ask) -> None:
        for _ in range(2):
            assert (await ask("/200", if_modified_since=AFTER)).status_code == 200
            assert (await ask("/404", if_none_match="*")).status_code == 404

    site.run(main)


def test_head_is_get_without_its_body_and_shares_what_is_stored(site):
    plain(site)

    async def main(ask: Ask) -> None:
        head = await ask(method="HEAD")
        assert (head.text, head.headers["content-length"]) == ("", "1")
        get = await ask()
        assert (get.text, get.headers["etag"]) == ("1", head.headers["etag"])
        assert (await ask(method="HEAD", if_none_match=get.headers["etag"])).status_code == 304
        assert (await ask(method="HEAD", cookie="a")).text == ""

    site.run(main)


@pytest.mark.parametrize("headers", [[], [(b"cookie", b"a")]])
def test_head_has_no_body_on_the_wire(site, headers):
    plain(site)

    @site.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "one"
            yield "two"

        return StreamingResponse(parts())

    @site.get("/head", methods=["HEAD"])
    async def head_only() -> Response:
        return Response(headers={"x-head": "1"})

    async def main(_: Ask) -> None:
        for path in ("/", "/stream", "/head"):
            sent: list[Any] = []

            async def receive() -> Any:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any, sent: list[Any] = sent) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "asgi": {"spec_version": "2.4"},
                "method": "HEAD",
                "path": path,
                "headers": headers,
            }
            await site.app({**scope, "query_string": b"", "scheme": "http"}, receive, send)
            assert sent[0]["status"] == 200
            assert [message.get("body") for message in sent[1:]] == [b""]

    site.run(main)


def test_without_a_cache_there_are_entity_tags_only():
    site = Site()

    @site.app.get("/")
    @http_cached(max_age=10)
    async def endpoint() -> str:
        site.count()
        return "same"

    async def main(ask: Ask) -> None:
        first = await ask()
        assert first.headers["cache-control"] == "public, max-age=10"
        assert (await ask(if_none_match=first.headers["etag"])).status_code == 304
        assert "age" not in first.headers
        assert site.runs == 2

    site.run(main)


@pytest.mark.parametrize(
    ("middleware", "option", "accepts", "weak"),
    [
        (GZipMiddleware, None, "gzip", True),
        (GZipMiddleware, None, "identity", False),
        (GZipMiddleware, False, "gzip", False),
        (CORSMiddleware, None, "gzip", False),
        (CORSMiddleware, True, "br", True),
    ],
)
def test_the_entity_tag_is_weak_where_a_middleware_may_compress(site, middleware, option, accepts, weak):
    site.app.add_middleware(middleware)

    @site.get(weak_etag=option)
    async def endpoint() -> str:
        return "x" * 1000

    async def main(ask: Ask) -> None:
        answer = await ask(accept_encoding=accepts)
        assert answer.headers["etag"].startswith("W/") is weak
        assert answer.headers.get("content-encoding") == (
            "gzip" if accepts == "gzip" and middleware is GZipMiddleware else None
        )
        assert answer.json() == "x" * 1000
        assert (await ask(accept_encoding=accepts, if_none_match=answer.headers["etag"])).status_code == 304
        assert (await ask(accept_encoding="identity")).json() == "x" * 1000

    site.run(main)


# Cache-Control.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "public, no-cache"),
        ({"max_age": 60}, "public, max-age=60"),
        ({"s_maxage": 60}, "public, max-age=0, s-maxage=60"),
        (
            {"max_age": 5, "s_maxage": 60, "stale_while_revalidate": 30},
            "public, max-age=5, s-maxage=60, stale-while-revalidate=30",
        ),
        ({"stale_while_revalidate": 30}, "public, no-cache"),
    ],
)
def test_cache_control_says_what_was_asked_for(site, options, said):
    plain(site, **options)

    async def main(ask: Ask) -> None:
        assert [(await ask()).headers["cache-control"] for _ in range(2)] == [said, said]
        assert (await ask(if_none_match="*")).headers["cache-control"] == said

    site.run(main)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response("x", headers={"cache-control": "max-age=7"}), "max-age=7"),
        (Response("x", headers={"set-cookie": "a=b"}), "private, no-cache"),
        (Response("x", 404), "no-store"),
        (Response("x", 500), "no-store"),
    ],
)
def test_the_endpoints_own_word_goes_first_and_what_is_not_for_all_says_so(site, answer, said):
    @site.get(max_age=60)
    async def endpoint() -> Response:
        return Response(answer.body, answer.status_code, dict(answer.headers))

    async def main(ask: Ask) -> None:
        assert (await ask()).headers["cache-control"] == said

    site.run(main)


def test_the_endpoint_can_shorten_its_time(site):
    @site.get(ttl=60)
    async def endpoint() -> Response:
        return Response(str(site.count()), headers={"cache-control": "max-age=5, s-maxage=10"})

    async def main(ask: Ask) -> None:
        await ask()
        await asyncio.sleep(9)
        assert (await ask()).text == "1"
        await asyncio.sleep(2)
        assert (await ask()).text == "2"

    site.run(main)


@pytest.mark.parametrize(
    "headers", [{"cache_control": "no-cache"}, {"cache_control": "max-age=0"}, {"pragma": "no-cache"}]
)
def test_a_client_can_have_it_made_anew_once_for_all_who_ask(site, headers):
    content = ["same"]

    @site.get(ttl=60)
    async def endpoint() -> str:
        site.count()
        await asyncio.sleep(1)
        return content[0]

    async def main(ask: Ask) -> None:
        await ask()
        await asyncio.gather(*(ask(**headers) for _ in range(5)))
        assert site.runs == 2
        assert (await ask()).headers["age"] == "1"  # the same: what is stored stays
        content[0] = "changed"
        answer = await ask(**headers)
        assert (answer.json(), answer.headers.get("age")) == ("changed", None)
        assert (await ask()).json() == "changed"
        assert site.runs == 4

    site.run(main)


def test_an_old_response_is_made_anew_for_who_wants_none_so_old(site):
    plain(site, ttl=60)

    async def main(ask: Ask) -> None:
        await ask()
        await asyncio.sleep(10)
        assert (await ask(cache_control="max-age=20")).text == "1"
        assert (await ask(cache_control="max-age=5")).text == "2"

    site.run(main)


def test_clients_can_be_kept_from_running_the_endpoint(site):
    plain(site, ignore_no_cache=True)

    async def main(ask: Ask) -> None:
        for control in ("no-cache", "max-age=0", "max-age=1"):
            await asyncio.sleep(2)
            assert (await ask(cache_control=control)).text == "1"

    site.run(main)


def test_no_store_leaves_the_cache_alone_and_only_if_cached_the_endpoint(site):
    plain(site)

    async def main(ask: Ask) -> None:
        absent = await ask(cache_control="only-if-cached")
        assert (absent.status_code, site.runs) == (504, 0)
        assert absent.json()["type"] == "urn:seawall:problem:only-if-cached"
        assert (await ask(cache_control="no-store")).text == "1"
        assert (await ask()).text == "2"
        assert (await ask(cache_control="only-if-cached")).text == "2"

    site.run(main)


# Runs.


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


# Where it is put.


def test_a_router_included_twice_and_a_plain_starlette_app(site):
    router = APIRouter()

    @router.get("/numbered")
    @http_cached(site.cache)
    async def numbered(mode: Annotated[str | None, Cookie()] = None) -> str:
        return str(site.count())

    @http_cached(site.cache)
    async def starlette(_: Request) -> Response:
        return PlainTextResponse(f"{site.count()}")

    site.app.include_router(router, prefix="/one")
    site.app.include_router(router, prefix="/two", dependencies=[Depends(APIKeyHeader(name="x-key", auto_error=False))])
    site.app.mount("/old", Starlette(routes=[Route("/", starlette), Mount("/deep", routes=[Route("/", starlette)])]))
    install_http_cache(site.app)

    async def main(ask: Ask) -> None:
        for path in ("/one/numbered", "/two/numbered", "/old/", "/old/deep/"):
            assert (await ask(path)).text == (await ask(path)).text
        assert site.runs == 4
        assert (await ask("/one/numbered", "POST")).status_code == 405
        assert (await ask("/two/numbered", x_key="a")).json() == "5"

    site.run(main)


def test_seawall_installs_it_when_the_service_starts():
    sea = Seawall(service="test", settings=Settings())
    app = sea.install(FastAPI())
    runs: list[int] = []

    @app.get("/")
    @http_cached(sea.cache)
    def endpoint() -> int:
        runs.append(1)
        return len(runs)

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as http,
        ):
            first, second = [await http.get("/") for _ in range(2)]
            assert (first.text, second.text) == ("1", "1")
            assert first.headers["x-request-id"] != second.headers["x-request-id"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": -1},
        {"ttl": 0},
        {"s_maxage": 0.5},
        {"max_bytes": 0},
        {"statuses": [206]},
        {"tags": "tenant"},
        {"category": "x"},
    ],
)
def test_impossible_options_are_refused(site, options):
    with pytest.raises(OptionError):
        http_cached(site.cache, **options)


def test_a_tag_of_no_parameter_a_stream_and_an_object_in_a_tag_are_refused(site):
    async def endpoint(tenant: Request) -> str:
        return "x"

    async def stream() -> AsyncIterator[str]:
        yield "x"

    with pytest.raises(OptionError, match="tenant_id"):
        http_cached(site.cache, tags=["tenant:{tenant_id}"])(endpoint)
    with pytest.raises(TypeError, match="streams"):
        http_cached(site.cache)(stream)
    site.get(tags=["tenant:{tenant}"])(endpoint)

    async def main(ask: Ask) -> None:
        assert (await ask()).status_code == 500

    site.run(main)
