"""What the middleware sets for a request, and the clocks it reads, where others have a hand in them."""

import asyncio
import gc
from typing import Any

import pytest
from starlette.types import Message

from seawall.core import deadline
from seawall.web.layer import Layer
from seawall.web.middleware import SeawallMiddleware
from tests.unit.web.asgi_client import ask


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_abandoned_request_takes_nothing_from_the_one_that_has_it_collected():
    left: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/abandoned":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.get_running_loop().create_future()
        gc.collect()
        left.append(deadline.remaining())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    layered = SeawallMiddleware(app, layer=Layer(timeout=5.0))

    async def abandon() -> None:
        asyncio.current_task().get_loop().create_task(ask(layered, "/abandoned"))  # type: ignore[union-attr]
        await asyncio.sleep(0.01)

    gc.collect()
    gc.disable()
    try:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(abandon())
        loop.close()
        del loop
        asyncio.run(ask(layered, "/"))
    finally:
        gc.enable()
    assert left[0] is not None
    assert 4.0 < left[0] <= 5.0


def test_a_deadline_is_kept_by_a_loop_whose_time_was_replaced():
    """As virtual clocks do that are put into a loop there is."""
    loop = asyncio.new_event_loop()
    now, select = [loop.time()], loop._selector.select  # type: ignore[attr-defined]

    def at_once(timeout: float | None) -> Any:
        now[0] += timeout or 0.0
        return select(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1000)

    loop._selector.select, loop.time = at_once, lambda: now[0]  # type: ignore[attr-defined, method-assign]
    try:
        answer = loop.run_until_complete(ask(SeawallMiddleware(app, layer=Layer(timeout=5.0)), "/"))
    finally:
        loop.close()
    assert answer.status == 504


@pytest.mark.parametrize(
    ("kinds", "has_it"),
    [((b"text/html",), True), ((b"application/json",), False), ((b"application/json", b"text/html"), True), ((), True)],
)
def test_the_last_content_type_says_whether_it_is_a_page(kinds, has_it):
    ours = (b"content-type", b"text/plain")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind) for kind in kinds]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    layered = SeawallMiddleware(app, layer=Layer(headers=(ours,), page_headers=((b"referrer-policy", b"no"),)))
    asyncio.run(layered({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send))
    names = [name for name, _ in sent[0]["headers"]]
    assert (b"referrer-policy" in names) is has_it
    assert names.count(b"content-type") == max(1, len(kinds))
