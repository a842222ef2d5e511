"""Loggers and their levels, to look at and to change for a while."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.core import OptionError
from seawall.web.admin import Endpoint
from seawall.web.problems import problem


class LevelsLike(Protocol):
    """The levels of loggers; `seawall.telemetry.levels.Levels` is one."""

    def set(self, logger: str, level: str, *, seconds: float) -> None:
        """Change one for so long. Raises `OptionError`."""
        ...

    def revert(self, logger: str) -> None:
        """Let one be as it was."""
        ...

    def list(self) -> Sequence[Any]:
        """Frozen dataclasses, one a logger."""
        ...


def logs_routes(prefix: str, guard: Callable[[Endpoint], Endpoint], levels: LevelsLike) -> list[Route]:
    """Routes below `prefix`.

    GET    /           every logger with a level of its own, and `root`
    PUT    /{logger}   {"level": "DEBUG", "seconds": 600}; after that it is as before
    DELETE /{logger}   as before, at once

    They are about the process that answers; where there are several workers, each has its own levels.
    """

    def listed() -> Response:
        return JSONResponse({"loggers": [dataclasses.asdict(level) for level in levels.list()]})

    async def list_loggers(_request: Request) -> Response:
        return listed()

    async def change(request: Request) -> Response:
        try:
            asked = await request.json()
            levels.set(request.path_params["logger"], str(asked["level"]), seconds=asked.get("seconds", 900))
        except OptionError as error:
            return problem(422, code="option", detail=str(error))
        except (ValueError, KeyError, TypeError, AttributeError):
            return problem(422, code="validation", detail='send {"level": "DEBUG", "seconds": 600}')
        return listed()

    async def revert(request: Request) -> Response:
        levels.revert(request.path_params["logger"])
        return listed()

    return [
        Route(prefix, guard(list_loggers), methods=["GET"]),
        Route(f"{prefix}/{{logger}}", guard(change), methods=["PUT"]),
        Route(f"{prefix}/{{logger}}", guard(revert), methods=["DELETE"]),
    ]
