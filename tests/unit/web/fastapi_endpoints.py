"""FastAPI's endpoints that raise somewhere, their dependencies with yield, and where they are put."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.unit.web.raising import HANDLERS, KnownError


def passing(told: list[str]) -> Any:
    async def dependency() -> AsyncIterator[str]:
        told.append("in")
        try:
            yield "x"
        except BaseException as error:
            told.append(f"failed: {type(error).__name__}")
            raise
        finally:
            await asyncio.sleep(0)
            told.append("out")

    return dependency


def by_a_function(told: list[str]) -> Any:
    def dependency() -> Iterator[str]:
        told.append("in")
        try:
            yield "x"
        finally:
            told.append("out")

    return dependency


def swallowing(told: list[str]) -> Any:
    async def dependency() -> AsyncIterator[str]:
        try:
            yield "x"
        except Exception as error:  # noqa: BLE001 - as careless dependencies do
            told.append(f"swallowed: {type(error).__name__}")

    return dependency


def another(told: list[str]) -> Any:
    async def dependency() -> AsyncIterator[str]:
        try:
            yield "x"
        except Exception as error:
            raise KnownError("another") from error

    return dependency


def failing_afterwards(told: list[str]) -> Any:
    async def dependency() -> AsyncIterator[str]:
        yield "x"
        raise KnownError("afterwards")

    return dependency


def plain(told: list[str]) -> Any:
    async def dependency() -> str:
        return "x"

    return dependency


def in_the_endpoint(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/p")
    async def endpoint(request: Request, value: Annotated[str, given]) -> str:
        await request.body()
        told.append("endpoint")
        if error is not None:
            raise error
        return value

    return router


def in_a_thread(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/p")
    def endpoint(value: Annotated[str, given]) -> str:
        if error is not None:
            raise error
        return value

    return router


def in_another_dependency(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    async def dependency(value: Annotated[str, given]) -> str:
        if error is not None:
            raise error
        return value

    @router.get("/p", dependencies=[Depends(dependency)])
    async def endpoint() -> PlainTextResponse:
        return PlainTextResponse("fine")

    return router


def as_it_streams(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/p")
    async def endpoint(value: Annotated[str, given]) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            told.append("streams")
            yield value
            if error is not None:
                raise error
            yield "fine"

        return StreamingResponse(parts())

    return router


def before_it_streams(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    class Failing(PlainTextResponse):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if error is not None:
                raise error
            await super().__call__(scope, receive, send)

    @router.get("/p", response_class=Failing)
    async def endpoint(value: Annotated[str, given]) -> str:
        return value

    return router


def in_the_background(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    async def work() -> None:
        told.append("works")
        if error is not None:
            raise error

    @router.get("/p")
    async def endpoint(value: Annotated[str, given], tasks: BackgroundTasks) -> str:
        tasks.add_task(work)
        return value

    return router


def with_an_exit_of_the_responses_own(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    async def leave() -> None:
        told.append("left")
        if error is not None:
            raise error

    async def work(request: Request) -> None:
        request.scope["fastapi_inner_astack"].push_async_callback(leave)

    @router.get("/p")
    async def endpoint(request: Request, value: Annotated[str, given], tasks: BackgroundTasks) -> str:
        tasks.add_task(work, request)
        return value

    return router


def by_what_is_asked(given: Any, error: BaseException | None, told: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/p")
    async def endpoint(value: Annotated[str, given], number: int) -> str:
        return value

    return router


def directly(app: FastAPI, router: APIRouter) -> None:
    app.router.routes.extend(router.routes)


def included(app: FastAPI, router: APIRouter) -> None:
    around = APIRouter()
    around.include_router(router)
    app.include_router(around)


def mounted(app: FastAPI, router: APIRouter) -> None:
    inside = FastAPI(exception_handlers={IndexError: HANDLERS[KnownError]})
    inside.include_router(router)
    app.mount("", inside)
