"""The podcast service in a process of its own, its providers in another."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from podcasts.child import child
from podcasts.demo.__main__ import service_environment
from podcasts.stubs.client import Stubs, start_stubs

TOKEN = secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Service:
    """A running service and what it calls."""

    url: str
    stubs: Stubs
    http: httpx2.Client
    log: str

    def post(self, path: str, body: object = None, **headers: str) -> httpx2.Response:
        return self.http.post(f"/api/v1{path}", json=body, headers=headers)

    def admin(self, method: str, path: str, token: str | None = TOKEN) -> httpx2.Response:
        headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
        return self.http.request(method, f"/admin{path}", headers=headers)

    def breaker(self, name: str) -> dict[str, Any]:
        found = self.admin("GET", "/breakers").json()["breakers"]
        return next(breaker for breaker in found if breaker["name"] == name)

    def campaign(self) -> str:
        """Register what a campaign needs and return its id."""
        podcast = self.post("/podcasts", {"title": "Deep Sea Tales", "host": "Mia", "email": "mia@show.example"})
        sponsor = self.post("/sponsors", {"name": "Acme Coffee", "email": "ads@acme.example", "product": "beans"})
        body = {"podcast_id": podcast.json()["id"], "sponsor_id": sponsor.json()["id"]}
        campaign = self.post("/campaigns", body | {"budget": "1200.50", "promo_code": "DEEP20"})
        assert campaign.status_code == 201, campaign.text
        return str(campaign.json()["id"])


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("podcasts")
    log = directory / "service.log"
    with start_stubs(latency=0.005) as stubs, log.open("w+b") as errors:
        environment = service_environment(stubs, TOKEN, open_for=2.0, database_url=f"sqlite:///{directory}/podcasts.db")
        arguments = ["podcasts", "--port=0", "--until-stdin-closes"]
        with (
            child(arguments, environment=environment, errors=errors) as (_, line),
            httpx2.Client(base_url=line["url"], timeout=20) as http,
        ):
            yield Service(line["url"], stubs, http, str(log))


@pytest.fixture
def service(running: Service) -> Service:
    """Everybody well: no faults, breakers closed, counters at zero."""
    running.stubs.clear()
    for breaker in running.admin("GET", "/breakers").json()["breakers"]:
        running.admin("POST", f"/breakers/{breaker['name']}/reset")
    running.stubs.zero_requests()
    return running
