"""An app whose one endpoint raises, and errors that hold a secret."""

import logging
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from seawall.core import SeawallError
from seawall.testing import virtual_time
from seawall.web.problems import Problems

SECRET = "hunter2-the-secret"


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class UnreadableSeawallError(SeawallError):
    code, status, public = "unreadable", 503, True

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    @property
    def user_message(self) -> str:
        raise RuntimeError(SECRET)


class OddStatusError(SeawallError):
    code, status, public = "odd-status", 200, True


class Broken(Exception):  # noqa: N818
    @property
    def errors(self) -> Any:
        raise RuntimeError(SECRET)

    @property
    def context(self) -> Any:
        raise RuntimeError(SECRET)


def site(raising: Callable[[], Any], *, development: bool = False, **options: Any) -> FastAPI:
    """An application whose one endpoint raises, with the handlers as `install` puts them there."""
    app = FastAPI()
    made = Problems(development=development)

    @app.api_route("/", methods=["GET", "POST"])
    async def endpoint() -> None:
        password = SECRET  # noqa: F841 - a local of a frame in the traceback
        raise raising()

    app.add_exception_handler(SeawallError, made.on_seawall_error)
    app.add_exception_handler(HTTPException, made.on_http_exception)
    app.add_exception_handler(RequestValidationError, made.on_validation_error)
    app.add_exception_handler(Exception, made.on_unexpected_error)
    return app


def ask(app: FastAPI, method: str = "GET", path: str = "/", **options: Any) -> httpx2.Response:
    async def once() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.request(method, path, **options)

    return virtual_time.run(once())


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "seawall.web"]


def noted(error: Exception) -> Exception:
    error.add_note(SECRET)
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def integrity_error() -> DBAPIError:
    engine = create_engine("sqlite://")
    insert = text("INSERT INTO person VALUES (:mail)")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE person (mail TEXT UNIQUE)"))
        connection.execute(insert, {"mail": SECRET})
        with pytest.raises(IntegrityError) as caught:
            connection.execute(insert, {"mail": SECRET})
    engine.dispose()
    assert SECRET in str(caught.value), "else there is nothing to hide"
    return caught.value
