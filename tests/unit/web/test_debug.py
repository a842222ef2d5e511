"""What a developer looks at, and nobody else."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from seawall import Seawall
from seawall.settings import Settings


def ask(path: str, **settings: Any) -> httpx2.Response:
    app = Seawall(service="test", settings=Settings(**settings)).install(FastAPI())

    async def main() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.get(path)

    return asyncio.run(main())


@pytest.mark.parametrize("path", ["settings", "routes", "tasks", "error/unexpected", "slow"])
def test_they_are_nowhere_but_in_development(path):
    assert ask(f"/debug/{path}").status_code == 404
    assert ask(f"/debug/{path}", environment="staging").status_code == 404


def test_settings_are_shown_without_secrets():
    shown = ask("/debug/settings", environment="development", redis_url="redis://:sesame@host", body_limit=7)
    assert "sesame" not in shown.text
    assert shown.json()["REDIS_URL"] == "set"
    assert shown.json()["SEAWALL_SECRET_KEY"] == "not set"
    assert shown.json()["SEAWALL_BODY_LIMIT"] == "7"


def test_routes_and_tasks_are_listed():
    routes = ask("/debug/routes", environment="development").json()["routes"]
    assert {"path": "/health", "methods": ["GET", "HEAD"]} in routes
    assert ask("/debug/tasks", environment="development").json()["tasks"]


@pytest.mark.parametrize(("code", "status"), [("not-found", 404), ("external-timeout", 504), ("unexpected", 500)])
def test_errors_can_be_looked_at_with_their_inside(code, status):
    answer = ask(f"/debug/error/{code}", environment="development")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert "traceback" in answer.json()


def test_an_error_nobody_knows_is_told_with_those_there_are():
    answer = ask("/debug/error/nonsense", environment="development")
    assert (answer.status_code, "not-found" in answer.json()["detail"]) == (404, True)


def test_slow_is_slow():
    assert ask("/debug/slow?seconds=0.01", environment="development").json() == {"slept": 0.01}
