"""Cache-Control: what responses say, and what requests ask for."""

import asyncio

import pytest
from fastapi import Response

from tests.unit.web.conftest import Ask, plain


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
