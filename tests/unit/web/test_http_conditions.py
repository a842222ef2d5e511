"""Entity tags, conditional requests and HEAD, with what is stored and without."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse

from seawall.web.http_cache import http_cached
from tests.unit.web.conftest import Ask, Site, plain


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
