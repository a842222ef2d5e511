"""Journeys through the podcast service, as its users and operators take them."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from podcasts.config import Config
from podcasts.copywriting import Copywriter
from podcasts.models import Campaign, Podcast, Sponsor
from seawall import Seawall
from seawall.core import deadline
from seawall.resilience import DeadlineExceededError
from tests.journeys.conftest import TOKEN, Service

WRITERS = ("openai", "anthropic", "deepseek", "replicate")
DOWN = ("error", "rate_limited", "reset", "refused")


def test_campaign_from_registration_to_invoice_and_mail(service):
    campaign = service.campaign()
    copy = service.post(f"/campaigns/{campaign}/copy").json()
    assert copy["provider"] == "openai"
    assert "Acme Coffee" in copy["text"]
    assert "DEEP20" in copy["text"]
    invoice = service.post(f"/campaigns/{campaign}/invoice").json()
    assert invoice == service.post(f"/campaigns/{campaign}/invoice").json()
    assert float(invoice["amount"]) == 1200.5
    assert service.post(f"/campaigns/{campaign}/mail").json()["message_id"]
    kept = service.http.get(f"/api/v1/campaigns/{campaign}").json()
    assert (kept["ad_read"], kept["invoice"]) == (copy, invoice)


def test_lists_come_in_pages(service):
    first = service.campaign()
    second = service.campaign()
    page = service.http.get("/api/v1/campaigns", params={"after": first, "limit": 1}).json()
    assert [campaign["id"] for campaign in page] == [second]


@pytest.mark.parametrize("down", range(1, 4))
def test_copy_is_written_by_the_first_provider_that_is_well(service, down):
    for provider in WRITERS[:down]:
        service.stubs.fault(provider, "error")
    answer = service.post(f"/campaigns/{service.campaign()}/copy")
    assert answer.json()["provider"] == WRITERS[down]


@pytest.mark.parametrize("kind", DOWN)
def test_breaker_opens_and_closes_again(service, kind):
    campaign = service.campaign()
    service.stubs.fault("openai", kind)
    while service.breaker("openai")["state"] != "open":
        assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "anthropic"
    asked = service.stubs.requests()["openai"]["received"]
    assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "anthropic"
    assert service.stubs.requests()["openai"]["received"] == asked
    service.stubs.clear()
    until = time.monotonic() + 20
    while service.breaker("openai")["state"] != "closed":
        assert time.monotonic() < until
        service.post(f"/campaigns/{campaign}/copy")
        time.sleep(0.05)
    assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "openai"


def test_hanging_provider_is_cut_and_replaced(service):
    campaign = service.campaign()
    service.stubs.fault("openai", "hang")
    began = time.monotonic()
    assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "anthropic"
    # Three attempts of 2 s each, but 6 s together.
    assert time.monotonic() - began < 8
    assert service.stubs.requests()["openai"]["in_flight"] == 0


def test_nobody_well_is_a_503_that_says_when_to_come_back(service):
    campaign = service.campaign()
    for provider in WRITERS:
        service.stubs.fault(provider, "error")
    answer = service.post(f"/campaigns/{campaign}/copy")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["type"] == "urn:seawall:problem:copy-unavailable"


def test_callers_deadline_bounds_the_whole_request(service):
    # The first call of a provider's library loads half of it, which may take longer than the deadline.
    assert service.post(f"/campaigns/{service.campaign()}/copy").status_code == 200
    before = service.stubs.requests()["openai"]["received"]
    campaign = service.campaign()
    for provider in WRITERS:
        service.stubs.fault(provider, "hang")
    began = time.monotonic()
    answer = service.post(f"/campaigns/{campaign}/copy", **{"request-timeout": "0.3"})
    assert time.monotonic() - began < 1.5
    assert answer.status_code == 504
    assert answer.json()["type"] == "urn:seawall:problem:deadline-exceeded"
    assert service.stubs.requests()["openai"]["received"] == before + 1


def test_a_deadline_that_has_passed_is_no_providers_fault():
    copywriter = Copywriter(Seawall(service="podcasts"), Config.from_env({}))
    podcast = Podcast(title="Deep Sea Tales", host="Mia", email="mia@show.example")
    sponsor = Sponsor(name="Acme Coffee", email="ads@acme.example", product="coffee")
    campaign = Campaign(podcast_id=podcast.id, sponsor_id=sponsor.id, budget=Decimal(10), promo_code="DEEP20")

    async def write() -> None:
        async with copywriter:
            with deadline.within(0.0):
                await copywriter.write(campaign, podcast, sponsor)

    with pytest.raises(DeadlineExceededError):  # not CopyUnavailableError: 504, not 503
        asyncio.run(write())


def test_payment_provider_down_is_a_503_and_no_second_invoice_comes_of_it(service):
    campaign = service.campaign()
    service.stubs.fault("stripe", "refused")
    assert service.post(f"/campaigns/{campaign}/invoice").status_code == 503
    service.stubs.clear("stripe")
    service.stubs.fault("stripe", "error", count=1)
    answer = service.post(f"/campaigns/{campaign}/invoice")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "open"


def test_mail_is_not_sent_twice_when_it_is_unknown_whether_it_went_out(service):
    campaign = service.campaign()
    service.post(f"/campaigns/{campaign}/copy")
    service.stubs.fault("sendgrid", "error", count=1)
    assert service.post(f"/campaigns/{campaign}/mail").status_code == 503
    assert service.stubs.requests()["sendgrid"]["received"] == 1


def test_mail_without_copy_is_a_conflict(service):
    answer = service.post(f"/campaigns/{service.campaign()}/mail")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:seawall:problem:invalid-state")


def test_every_error_is_a_problem_with_the_requests_id(service):
    broken = service.http.post("/api/v1/podcasts", content=b"{", headers={"content-type": "application/json"})
    unknown = service.post(f"/campaigns/{uuid4()}/copy", **{"x-request-id": "mine-1"})
    invalid = service.post("/podcasts", {"title": ""})
    answers = [
        (404, service.http.get("/nowhere")),
        (404, unknown),
        (405, service.http.delete("/api/v1/podcasts")),
        (422, invalid),
        (422, broken),
    ]
    for status, answer in answers:
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.headers["x-request-id"]
    assert unknown.headers["x-request-id"] == "mine-1"
    assert {error["field"] for error in invalid.json()["errors"]} == {"body.title", "body.host", "body.email"}


def test_health_stays_well_and_readiness_tells_what_is_out(service):
    assert service.http.get("/health").json() == {"status": "healthy", "service": "podcasts"}
    assert service.http.get("/health/ready").json()["status"] == "healthy"
    service.admin("POST", "/breakers/openai/isolate")
    until = time.monotonic() + 5
    while (ready := service.http.get("/health/ready").json())["status"] == "healthy":
        assert time.monotonic() < until  # what a check said is told for a second
        time.sleep(0.1)
    assert ready["status"] == "degraded"
    assert ready["checks"]["copywriter"].items() >= {"status": "degraded", "message": "without openai"}.items()
    assert service.http.get("/health/detailed").status_code == 401
    detailed = service.admin("GET", "/../health/detailed").json()
    assert detailed["checks"]["database"]["status"] == "healthy"
    assert detailed["checks"]["disk"]["response_time_ms"] >= 0


def test_metrics_can_be_scraped_and_tell_what_was_done(service):
    before = _metrics(service)
    service.post(f"/campaigns/{service.campaign()}/copy")
    assert service.http.get("/api/v1/nothing/4711").status_code == 404
    after = _metrics(service)
    copies = 'http_requests_total{method="POST",route="/api/v1/campaigns/{id}/copy",status="200"}'
    assert after[copies] == before.get(copies, 0) + 1
    unmatched = 'http_requests_total{method="GET",route="(unmatched)",status="404"}'
    assert after[unmatched] == before.get(unmatched, 0) + 1
    assert after['circuit_breaker_state{breaker="openai"}'] == 0
    assert after['health_status{check="database"}'] == 0
    assert after["process_resident_memory_bytes"] > 1e7
    assert sum(value for name, value in after.items() if name.startswith("cache_requests_total")) > 0
    assert after['database_statements_total{node="sqlite"}'] > before['database_statements_total{node="sqlite"}']


def _metrics(service: Service) -> dict[str, float]:
    service.http.get("/api/v1/podcasts")
    lines = service.http.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_an_operator_looks_at_requests_and_turns_up_a_logger_for_a_while(service):
    service.http.get("/api/v1/podcasts", headers={"x-request-id": "look-at-me"})
    [seen] = service.admin("GET", "/requests?request_id=look-at-me").json()["requests"]
    assert (seen["route"], seen["status"], seen["client"]) == ("/api/v1/podcasts", 200, "127.0.0.1")
    changed = service.http.put(
        "/admin/loggers/seawall.cache", json={"level": "debug", "seconds": 60},
        headers={"Authorization": f"Bearer {TOKEN}"},
    ).json()["loggers"]  # fmt: skip
    [cache] = [logger for logger in changed if logger["logger"] == "seawall.cache"]
    assert (cache["level"], 50 < cache["reverts_in"] <= 60) == ("DEBUG", True)
    reverted = service.admin("DELETE", "/loggers/seawall.cache").json()["loggers"]
    assert "seawall.cache" not in [logger["logger"] for logger in reverted]


def test_operator_opens_isolates_and_resets_a_breaker(service):
    campaign = service.campaign()
    assert service.admin("POST", "/breakers/openai/isolate").json()["state"] == "isolated"
    assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "anthropic"
    assert service.admin("POST", "/breakers/openai/open").json()["state"] == "open"
    assert service.admin("POST", "/breakers/openai/reset").json()["state"] == "closed"
    assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "openai"
    assert service.admin("POST", "/breakers/opena/reset").json()["detail"].startswith("there is no breaker 'opena'")
    assert service.admin("POST", "/breakers/openai/explode").status_code == 404


@pytest.mark.parametrize("token", [None, "wrong", "ünknown"])
def test_admin_api_refuses_everybody_else(service, token):
    for method, path in (("GET", "/pipelines"), ("GET", "/breakers"), ("POST", "/breakers/openai/open")):
        assert service.admin(method, path, token).status_code == 401
    assert service.breaker("openai")["state"] == "closed"


def test_pipelines_are_listed_with_their_policies(service):
    listed = {one["name"]: one["policies"] for one in service.admin("GET", "/pipelines").json()["pipelines"]}
    assert list(listed) == [*WRITERS, "copy", "stripe", "invoices", "sendgrid", "mail"]
    assert [policy["policy"].split("(")[0] for policy in listed["openai"]] == [
        "Bulkhead",
        "Timeout",
        "Retry",
        "CircuitBreaker",
        "Timeout",
    ]
    assert listed["copy"][0]["statistics"]["used"].keys() == {"with_anthropic", "with_deepseek", "with_replicate"}


def test_abandoned_requests_leave_nothing_held(service):
    campaign = service.campaign()
    service.stubs.fault("openai", "slow", seconds=1.0)

    def abandon(_: int) -> None:
        with pytest.raises(Exception, match="timed out"):
            service.http.post(f"/api/v1/campaigns/{campaign}/copy", timeout=0.2)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(abandon, range(40)))
    until = time.monotonic() + 10
    while True:
        openai = service.admin("GET", "/pipelines").json()["pipelines"][0]["policies"]
        held = [policy["statistics"].get("running", 0) for policy in openai]
        if not any(held):
            break
        assert time.monotonic() < until, held
        time.sleep(0.05)
    service.stubs.clear()
    assert service.post(f"/campaigns/{campaign}/copy").json()["provider"] == "openai"


def test_logs_are_json_lines_with_the_requests_id_and_no_secret(service):
    service.post(f"/campaigns/{service.campaign()}/copy", **{"x-request-id": "find-me"})
    until = time.monotonic() + 5
    mine: list[dict[str, object]] = []
    while not mine:  # the line is written when the response has gone out
        assert time.monotonic() < until
        lines = [json.loads(line) for line in Path(service.log).read_text().splitlines()]
        mine = [line for line in lines if (line.get("request_id"), line["logger"]) == ("find-me", "seawall.access")]
    assert [line["status"] for line in mine] == [200]
    assert "sk_test_demo" not in Path(service.log).read_text()
    [call] = [line for line in lines if (line.get("request_id"), line["logger"]) == ("find-me", "seawall.calls")]
    assert (call["provider"], call["level"], call["trace_id"]) == ("openai", "info", mine[0]["trace_id"])
    assert call["tokens"] > 0
    assert "Acme Coffee" not in json.dumps(call)


def test_openapi_describes_every_endpoint_and_its_problems(service):
    api = service.http.get("/openapi.json").json()
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            assert operation["tags"], (method, path)
            assert operation["description"], (method, path)
            assert "application/problem+json" in operation["responses"]["503"]["content"]
