"""Profiles and stalls of real work in real time."""

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from seawall.core import Events, MissingExtraError, OptionError
from seawall.profiling import LoopStalled, Profiler, ProfileRunningError
from seawall.telemetry.metrics import Metrics
from seawall.telemetry.requests import RequestBatch, RequestMetrics, Ring
from seawall.testing import EventRecorder
from seawall.web.admin import guarded_by
from seawall.web.layer import Layer
from seawall.web.middleware import SeawallMiddleware
from seawall.web.profiling_admin import profiling_routes

TOKEN = "a-token-of-16-ch"


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(200))


async def compute() -> None:
    spin(0.01)
    await asyncio.sleep(0)


async def hungry(kept: list[Any]) -> None:
    kept.append(bytearray(20_000))
    await asyncio.sleep(0.002)


@asynccontextmanager
async def under_way(work: Any, pause: float = 0.0) -> AsyncIterator[None]:
    """`work` again and again, in a task of its own."""

    async def on_and_on() -> None:
        while True:
            await work()
            await asyncio.sleep(pause)

    task = asyncio.create_task(on_and_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def named(profile: dict[str, Any]) -> dict[str, float]:
    """Seconds by function, of a speedscope profile, with what they call."""
    (one,) = profile["profiles"]
    frames = profile["shared"]["frames"]
    found: dict[str, float] = {}
    for stack, weight in zip(one["samples"], one["weights"], strict=True):
        for function in {frames[index]["name"] for index in stack}:
            found[function] = found.get(function, 0.0) + weight
    return found


def test_a_cpu_profile_shows_what_the_tasks_of_the_loop_do():
    async def main() -> tuple[str, str]:
        profiler = Profiler()
        async with under_way(compute, pause=0.01):
            return await profiler.cpu(0.8, "speedscope"), await profiler.cpu(0.5)

    text, page = asyncio.run(main())
    profile = json.loads(text)
    seconds = named(profile)
    (one,) = profile["profiles"]
    assert one["endValue"] == pytest.approx(sum(one["weights"]), abs=0.001)
    assert 0.7 < one["endValue"] < 5
    assert seconds["spin"] > 0.1
    assert seconds["compute"] >= seconds["spin"]
    assert seconds["(waiting)"] > 0.1
    # What the loop does for itself, and we, are not the service's.
    assert not {"run_forever", "_run_once", "Handle._run", "profile_cpu"} & seconds.keys()
    assert ">spin</a>" in page
    assert "<script" not in page


def test_the_loop_goes_on_while_it_is_profiled_and_drawn():
    async def main() -> float:
        longest, last = 0.0, time.perf_counter()
        profile = asyncio.ensure_future(Profiler().cpu(1.0))
        async with under_way(compute, pause=0.001):
            while not profile.done():
                await asyncio.sleep(0.005)
                now = time.perf_counter()
                longest, last = max(longest, now - last), now
        await profile
        return longest

    assert asyncio.run(main()) < 0.4


def test_one_profile_at_a_time_and_a_cancelled_one_is_over():
    async def main() -> None:
        profiler = Profiler()
        for make in (profiler.cpu, profiler.memory):
            running = asyncio.ensure_future(make(30))
            await asyncio.sleep(0.2)
            assert profiler.profiling is not None
            with pytest.raises(ProfileRunningError, match="profile is under way, and there is one") as refused:
                await profiler.cpu(1)
            assert 1 <= refused.value.retry_after <= 30
            with pytest.raises(ProfileRunningError):
                await profiler.memory(1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert profiler.profiling is None
            assert sys.getprofile() is None
            assert not tracemalloc.is_tracing()
        await profiler.cpu(0.1)
        await profiler.memory(0.1)

    asyncio.run(main())


def test_another_profiler_of_the_thread_is_left_alone():
    def other(*_: Any) -> None: ...

    async def main() -> None:
        sys.setprofile(other)
        try:
            with pytest.raises(ProfileRunningError, match="another profiler of this thread"):
                await Profiler().cpu(0.1)
            assert sys.getprofile() is other
        finally:
            sys.setprofile(None)

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [0, 0.05, 61, -1, float("nan"), "long"])
def test_seconds_are_bounded(seconds):
    async def main() -> None:
        for make in (Profiler().cpu, Profiler().memory):
            with pytest.raises(OptionError, match="at least 0.1 and at most 60"):
                await make(seconds)

    asyncio.run(main())


def test_unknown_formats_are_refused():
    async def main() -> None:
        for make in (Profiler().cpu, Profiler().memory):
            with pytest.raises(OptionError, match="'html'"):
                await make(1, "pdf")

    asyncio.run(main())


def test_without_pyinstrument_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyinstrument", None)
    monkeypatch.delitem(sys.modules, "seawall.profiling.pyinstrument", raising=False)

    async def main() -> None:
        profiler = Profiler()
        with pytest.raises(MissingExtraError, match=r"install 'seawall\[telemetry\]'"):
            await profiler.cpu(0.1)
        assert profiler.profiling is None

    asyncio.run(main())


def test_a_memory_profile_shows_the_lines_that_grow():
    kept: list[Any] = []

    async def main() -> tuple[dict[str, Any], str]:
        profiler = Profiler()
        async with under_way(lambda: hungry(kept)):
            return json.loads(await profiler.memory(0.5, "json")), await profiler.memory(0.3)

    profile, page = asyncio.run(main())
    first = profile["lines"][0]
    assert first["file"].endswith("test_profiling.py")
    assert first["line"] == hungry.__code__.co_firstlineno + 1
    assert first["bytes"] > 500_000
    assert first["bytes"] >= 0.8 * profile["bytes"]
    assert profile["peak"] >= profile["bytes"]
    assert "hungry</a>" in page
    assert not tracemalloc.is_tracing()


def test_memory_that_was_traced_already_is_traced_on():
    kept: list[Any] = []
    tracemalloc.start(3)
    try:
        before = [bytearray(5_000_000)]

        async def main() -> dict[str, Any]:
            async with under_way(lambda: hungry(kept)):
                found: dict[str, Any] = json.loads(await Profiler().memory(0.3, "json"))
                return found

        profile = asyncio.run(main())
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traceback_limit() == 3
        assert profile["lines"][0]["line"] == hungry.__code__.co_firstlineno + 1
        assert all(line["bytes"] < 5_000_000 for line in profile["lines"])
        del before
    finally:
        tracemalloc.stop()


def test_what_holds_the_loop_is_found():
    async def sleeps() -> None:
        time.sleep(0.5)  # noqa: ASYNC251 - that is what is looked for

    async def computes() -> None:
        spin(0.5)

    events = Events()
    recorder = EventRecorder(events)

    async def main() -> Profiler:
        async with Profiler(events=events) as profiler:
            for work in (sleeps, computes):
                await asyncio.sleep(1.1)
                await asyncio.create_task(work())
                await asyncio.sleep(0.2)
            return profiler

    profiler = asyncio.run(main())
    stalls = {name: stall for stall in profiler.stalls() for name in ("sleeps", "computes") if name in stall.stack[0]}
    for stall in stalls.values():
        assert stall.count == 1
        assert 0.3 < stall.longest < 3
    assert stalls["sleeps"].cpu < 0.2
    assert stalls["computes"].cpu > 0.2
    assert "spin" in " ".join(stalls["computes"].stack)
    # A busy machine may have stalled the loop a moment before one of them, which keeps that from being told.
    told = " ".join(event.stack[0] for event in recorder.of(LoopStalled))
    assert "sleeps" in told or "computes" in told


def test_memory_stays_flat():
    profiler = Profiler(most_names=100)

    @profiler.measured
    async def function() -> None: ...

    async def load(times: int) -> None:
        for number in range(times):
            await function()
            profiler.record(f"name {number}", number / 1e6)

    async def main() -> int:
        await load(20_000)
        gc.collect()
        tracemalloc.start()
        try:
            await load(60_000)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert asyncio.run(main()) < 200_000


def test_behind_a_server_routes_are_measured_and_a_client_who_leaves_ends_the_profile():
    profiler = Profiler()

    async def thing(_request: Request) -> Response:
        await compute()
        return PlainTextResponse("done")

    routes = profiling_routes("/admin/profiler", guarded_by(TOKEN), profiler)
    inner = Starlette(routes=[Route("/things/{id}", thing), *routes])
    batch = RequestBatch(RequestMetrics(Metrics()).active, Ring(), [profiler.served])
    app = SeawallMiddleware(inner, layer=Layer(recorders=[batch], timeout=20.0))
    admin = {"Authorization": f"Bearer {TOKEN}"}

    async def main() -> None:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with profiler, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=admin) as http:
            with pytest.raises(httpx2.ReadTimeout):
                await http.post("/admin/profiler/cpu?seconds=15", timeout=0.5)
            for _ in range(100):
                if profiler.profiling is None:
                    break
                await asyncio.sleep(0.02)
            assert profiler.profiling is None

            profile = asyncio.ensure_future(http.post("/admin/profiler/cpu?seconds=1"))
            while not profile.done():
                await http.get("/things/7")
            page = await profile
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert ">compute</a>" in page.text

            shown = (await http.get("/admin/profiler?sort=count")).json()
            assert shown["functions"][0]["name"] == "GET /things/{id}"
            assert shown["functions"][0]["min"] >= 0.01
            assert shown["process"]["memory"] > 1_000_000
            late = await http.post("/admin/profiler/cpu?seconds=30")
            assert (late.status_code, late.json()["code"]) == (422, "validation")
        server.should_exit = True
        await serving

    asyncio.run(main())
