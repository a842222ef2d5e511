"""The routes of the profiler, spoken to through ASGI."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from seawall.core import MissingExtraError, OptionError, SeawallError, deadline
from seawall.testing import FakeClock, virtual_time
from seawall.web.admin import guarded_by
from seawall.web.profiling_admin import profiling_routes

TOKEN = "a-token-of-16-ch"
ROUTES = [("GET", "")] + [("POST", path) for path in ("/start", "/stop", "/reset", "/cpu", "/memory")]


@dataclass(frozen=True)
class Row:
    name: str
    count: int = 0
    total: float = 0.0
    p99: float = 0.0
    busy: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class BusyError(SeawallError):
    code = "profile-running"
    status = 409
    retry_after = 2.6

    def __str__(self) -> str:
        return "a CPU profile is under way"


class Played:
    """A profiler that does as it is told."""

    def __init__(self) -> None:
        self.running = True
        self.profiling: str | None = None
        self.journal: list[Any] = []
        self.raises: Exception | None = None

    def statistics(self) -> list[Row]:
        return [Row("a", 3, 9.0, 0.1), Row("b", 5, 7.0, 0.9, 0.5), Row("c", 4, 1.0, 0.5)]

    def stalls(self) -> list[Row]:
        return [Row("stall")]

    def process(self) -> Row:
        return Row("process")

    def recommendations(self) -> list[Row]:
        return [Row("advice")]

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def reset(self) -> None:
        self.journal.append("reset")

    async def cpu(self, seconds: float, form: str = "html") -> str:
        return await self._made("cpu", seconds, form)

    async def memory(self, seconds: float, form: str = "html") -> str:
        return await self._made("memory", seconds, form)

    async def _made(self, *what: Any) -> str:
        self.journal.append(what)
        if self.raises is not None:
            raise self.raises
        try:
            await asyncio.sleep(what[1])
        except asyncio.CancelledError:
            self.journal.append("cancelled")
            raise
        return f"{what[0]} in {what[2]}"


@pytest.fixture
def profiler() -> Played:
    return Played()


def app_of(profiler: Played) -> Starlette:
    return Starlette(routes=profiling_routes("/admin/profiler", guarded_by(TOKEN), profiler))


def ask(profiler: Played, method: str, path: str = "", *, token: str = TOKEN, within: float | None = None) -> Any:
    async def once() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app_of(profiler))
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.request(
                method, f"/admin/profiler{path}", headers={"authorization": f"Bearer {token}"}, timeout=None
            )

    async def bounded() -> httpx2.Response:
        if within is None:
            return await once()
        with deadline.within(within):
            return await once()

    return virtual_time.run(bounded(), clock=FakeClock())


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_only_the_admin_is_served(profiler, method, path):
    assert ask(profiler, method, path, token="another").status_code == 401
    assert profiler.journal == []
    assert profiler.running


@pytest.mark.parametrize("path", ["/start", "/stop", "/reset", "/cpu", "/memory"])
def test_nothing_is_changed_by_get(profiler, path):
    assert ask(profiler, "GET", path).status_code == 405


def test_all_is_shown(profiler):
    body = ask(profiler, "GET").json()
    assert [row["name"] for row in body["functions"]] == ["a", "b", "c"]
    assert (body["running"], body["profiling"], body["count"]) == (True, None, 3)
    assert body["process"]["name"] == "process"
    assert [body[part][0]["name"] for part in ("recommendations", "stalls")] == ["advice", "stall"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?sort=p99", ["b", "c", "a"]),
        ("?sort=p99&limit=2", ["b", "c"]),
        ("?sort=count", ["b", "c", "a"]),
        ("?sort=name", ["a", "b", "c"]),
        ("?sort=busy&limit=1", ["b"]),
        ("?limit=0", []),
    ],
)
def test_statistics_are_sorted_and_limited(profiler, query, names):
    assert [row["name"] for row in ask(profiler, "GET", query).json()["functions"]] == names


@pytest.mark.parametrize(("query", "told"), [("?sort=beauty", "busy, count, name, p99, total"), ("?limit=x", "limit")])
def test_what_cannot_be_sorted_or_limited_is_refused(profiler, query, told):
    answer = ask(profiler, "GET", query)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_the_switch_and_reset(profiler):
    assert ask(profiler, "POST", "/stop").json() == {"running": False}
    assert ask(profiler, "POST", "/start").json() == {"running": True}
    assert ask(profiler, "POST", "/reset").json() == {"running": True}
    assert profiler.journal == ["reset"]


@pytest.mark.parametrize(
    ("path", "made", "media_type", "ending"),
    [
        ("/cpu?seconds=2", ("cpu", 2.0, "html"), "text/html; charset=utf-8", ".html"),
        ("/cpu?format=speedscope", ("cpu", 5.0, "speedscope"), "application/json", ".speedscope.json"),
        ("/memory?seconds=0.5", ("memory", 0.5, "html"), "text/html; charset=utf-8", ".html"),
        ("/memory?format=json", ("memory", 5.0, "json"), "application/json", ".json"),
    ],
)
def test_a_profile_is_downloaded(profiler, path, made, media_type, ending):
    answer = ask(profiler, "POST", path)
    assert (answer.status_code, answer.text) == (200, f"{made[0]} in {made[2]}")
    assert profiler.journal == [made]
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{made[0]}-20')
    assert answer.headers["content-disposition"].endswith(f'{ending}"')
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OptionError("Profiler.cpu", "seconds", 99, "at most 60"), 422, "option"),
        (BusyError(), 409, "profile-running"),
        (MissingExtraError("seawall.profiling.pyinstrument", "pyinstrument", "telemetry"), 501, "missing-extra"),
    ],
)
def test_refusals_say_why(profiler, error, status, code):
    profiler.raises = error
    answer = ask(profiler, "POST", "/cpu")
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (status, code, str(error))
    assert answer.headers.get("retry-after") == ("3" if status == 409 else None)


def test_seconds_that_are_no_number_are_refused(profiler):
    assert ask(profiler, "POST", "/cpu?seconds=soon").status_code == 422
    assert profiler.journal == []


def test_a_profile_fits_into_the_request(profiler):
    answer = ask(profiler, "POST", "/cpu?seconds=29", within=30.0)
    assert (answer.status_code, answer.json()["detail"]) == (422, "this request has 30 s: ask for 28 s or less")
    assert ask(profiler, "POST", "/cpu?seconds=25", within=30.0).status_code == 200


def call_by_hand(profiler: Played, play: Callable[[asyncio.Queue[Any], asyncio.Task[None]], Any]) -> list[Any]:
    """The app under a client that is played by the test."""
    sent: list[Any] = []

    async def main() -> None:
        incoming: asyncio.Queue[Any] = asyncio.Queue()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/admin/profiler/cpu", "query_string": b"seconds=30",
            "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
        }  # fmt: skip
        task = asyncio.ensure_future(app_of(profiler)(scope, incoming.get, send))
        await play(incoming, task)

    virtual_time.run(main(), clock=FakeClock())
    return sent


def test_a_client_who_leaves_ends_the_profile(profiler):
    async def play(incoming: asyncio.Queue[Any], task: asyncio.Task[None]) -> None:
        incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        await asyncio.sleep(3)
        assert not task.done()
        incoming.put_nowait({"type": "http.disconnect"})
        await asyncio.sleep(0.01)
        assert task.done()

    sent = call_by_hand(profiler, play)
    assert profiler.journal == [("cpu", 30.0, "html"), "cancelled"]
    assert sent[0]["status"] == 499


def test_a_request_that_is_cancelled_ends_the_profile(profiler):
    async def play(_incoming: asyncio.Queue[Any], task: asyncio.Task[None]) -> None:
        await asyncio.sleep(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert profiler.journal[-1] == "cancelled"

    assert call_by_hand(profiler, play) == []
