"""What of an endpoint is not stored, and who is not given what is."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Cookie, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse
from fastapi.security import APIKeyHeader
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse

from seawall.core import correlation
from seawall.core.correlation import Correlation
from seawall.web.problems import problem
from tests.unit.web.conftest import Ask, plain


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


def test_a_stored_problem_names_no_request(site):
    @site.get("/{name}", statuses=[404], ttl=300)
    async def endpoint(name: str) -> Response:
        work = correlation.current.set(Correlation(name, "1" * 32, "2" * 16))
        answer = problem(404, detail=f"{site.count()} Straße")
        correlation.current.reset(work)
        return answer

    async def main(ask: Ask) -> None:
        first, second = await ask("/a"), await ask("/a")
        members = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "1 Straße"}
        assert second.json() == members
        assert first.json() in (members, members | {"request_id": "a", "trace_id": "1" * 32})
        for answer in (first, second):
            assert int(answer.headers["content-length"]) == len(answer.content)
            assert answer.headers["content-type"] == "application/problem+json"

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
