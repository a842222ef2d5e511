"""The provider stubs, called by the providers' own SDKs over real sockets."""

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai
import pytest
import stripe
from anthropic.types import TextBlock
from python_http_client.exceptions import (  # type: ignore[import-untyped]
    ServiceUnavailableError,
    UnauthorizedError,
)
from replicate.client import Client as ReplicateClient
from replicate.exceptions import ReplicateError
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]
from sendgrid.helpers.mail import Mail  # type: ignore[import-untyped]

from podcasts.stubs.client import Stubs, StubsError, start_stubs
from podcasts.stubs.faults import Kind

PROMPT = "Write an ad-read. Sponsor: Acme Coffee. Podcast: Deep Sea Tales. Promo code: DEEP20"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
LATENCY = 0.005


@pytest.fixture(scope="module")
def process() -> Iterator[Stubs]:
    with start_stubs(latency=LATENCY) as running:
        yield running


@pytest.fixture
def stubs(process: Stubs) -> Stubs:
    process.clear()
    process.zero_requests()
    return process


def openai_client(stubs: Stubs, *, timeout: float = 5.0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="sk-test", base_url=f"{stubs.providers['openai']}/v1", max_retries=0, timeout=timeout
    )


def anthropic_client(stubs: Stubs) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key="sk-ant-test", base_url=stubs.providers["anthropic"], max_retries=0)


async def chat(client: openai.AsyncOpenAI, model: str = "gpt-5-mini") -> str:
    completion = await client.chat.completions.create(model=model, messages=MESSAGES)
    return completion.choices[0].message.content or ""


def ask(stubs: Stubs, *, timeout: float = 5.0) -> str:
    """One chat completion with a client of its own."""

    async def once() -> str:
        async with openai_client(stubs, timeout=timeout) as client:
            return await chat(client)

    return asyncio.run(once())


def send(
    url: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: str | None = None
) -> tuple[int, dict[str, str], Any]:
    """One request without any SDK; returns status, headers in lower case, and decoded JSON."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        text = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(text) if text else None
    finally:
        connection.close()


def eventually(condition: Callable[[], bool], *, within: float = 3.0) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_refused(url: str) -> bool:
    host, _, port = urlsplit(url).netloc.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_openai_completes_chats_whole_and_streamed(stubs: Stubs) -> None:
    async def run() -> None:
        async with openai_client(stubs) as client:
            whole = await client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)
            text = whole.choices[0].message.content
            assert text is not None
            assert "Acme Coffee" in text
            assert "Deep Sea Tales" in text
            assert "DEEP20" in text
            assert (whole.model, whole.choices[0].finish_reason) == ("gpt-5-mini", "stop")
            assert whole.usage is not None
            assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
            assert whole._request_id is not None

            stream = await client.chat.completions.create(
                model="gpt-5-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
            assert len(chunks) > 10
            assert chunks[-2].choices[0].finish_reason == "stop"
            assert chunks[-1].usage is not None
            assert chunks[-1].usage.model_dump() == whole.usage.model_dump()

    asyncio.run(run())


def test_openai_responds_and_keeps_to_the_token_limit(stubs: Stubs) -> None:
    async def run() -> None:
        async with openai_client(stubs) as client:
            whole = await client.responses.create(model="gpt-5", instructions="Be warm.", input=PROMPT)
            assert "Acme Coffee" in whole.output_text
            assert (whole.model, whole.status) == ("gpt-5", "completed")
            cut = await client.responses.create(model="gpt-5", input=MESSAGES, max_output_tokens=16)
            assert (cut.status, cut.usage and cut.usage.output_tokens) == ("incomplete", 16)
            assert cut.incomplete_details is not None
            assert cut.incomplete_details.reason == "max_output_tokens"

    asyncio.run(run())


def test_deepseek_completes_through_the_openai_sdk(stubs: Stubs) -> None:
    async def run() -> None:
        for base_url in (stubs.providers["deepseek"], f"{stubs.providers['deepseek']}/v1"):
            async with openai.AsyncOpenAI(api_key="sk-test", base_url=base_url, max_retries=0) as client:
                assert "Acme Coffee" in await chat(client, "deepseek-chat")

    asyncio.run(run())


def test_anthropic_writes_messages_whole_and_streamed(stubs: Stubs) -> None:
    async def run() -> None:
        async with anthropic_client(stubs) as client:
            whole = await client.messages.create(model="claude-sonnet-5-5", max_tokens=500, messages=MESSAGES)
            block = whole.content[0]
            assert isinstance(block, TextBlock)
            assert "Acme Coffee" in block.text
            assert (whole.model, whole.stop_reason) == ("claude-sonnet-5-5", "end_turn")
            async with client.messages.stream(model="claude-sonnet-5-5", max_tokens=500, messages=MESSAGES) as stream:
                streamed = "".join([text async for text in stream.text_stream])
                final = await stream.get_final_message()
            assert streamed == block.text
            assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)

    asyncio.run(run())


def test_replicate_predicts_waited_for_and_polled(stubs: Stubs) -> None:
    with httpx.HTTPTransport() as transport:
        client = ReplicateClient("r8_test", base_url=stubs.providers["replicate"], transport=transport)
        client.poll_interval = 0.01
        output = client.run("meta/llama-3-70b-instruct", input={"prompt": PROMPT})
        assert "Acme Coffee" in "".join(output)

        polled = client.models.predictions.create("meta/llama-3-70b-instruct", input={"prompt": PROMPT})
        assert (polled.status, polled.output) == ("starting", None)
        polled.wait()
        assert (polled.status, polled.model) == ("succeeded", "meta/llama-3-70b-instruct")
        assert polled.output == output

        versioned = client.predictions.create(version="5c785d117c5b", input={"prompt": PROMPT}, wait=True)
        assert (versioned.status, versioned.version) == ("succeeded", "5c785d117c5b")
        with pytest.raises(ReplicateError) as missing:
            client.predictions.get("nothing")
        assert missing.value.status == 404


@pytest.fixture
def stripe_client(stubs: Stubs) -> Iterator[stripe.StripeClient]:
    transport = stripe.RequestsClient()
    yield stripe.StripeClient(
        "sk_test_1", base_addresses={"api": stubs.providers["stripe"]}, http_client=transport, max_network_retries=0
    )
    transport.close()  # type: ignore[no-untyped-call]


def test_stripe_invoices_a_customer(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({"name": "Acme Coffee", "email": "ads@acme.example"})
    stripe_client.v1.invoice_items.create(
        {"customer": customer.id, "amount": 120_000, "currency": "usd", "metadata": {"campaign": "spring"}}
    )
    draft = stripe_client.v1.invoices.create(
        {
            "customer": customer.id,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "pending_invoice_items_behavior": "include",
        }
    )
    assert draft.id is not None
    assert (draft.status, draft.total, draft.number) == ("draft", 120_000, None)
    stripe_client.v1.invoice_items.create({"customer": customer.id, "amount": 5_000, "invoice": draft.id})
    final = stripe_client.v1.invoices.finalize_invoice(draft.id)
    assert (final.status, final.amount_due) == ("open", 125_000)
    read = stripe_client.v1.invoices.retrieve(draft.id)
    assert (read.status, read.number, read.customer) == ("open", final.number, customer.id)
    assert [line.metadata.to_dict() for line in read.lines.data] == [{"campaign": "spring"}, {}]
    with pytest.raises(stripe.InvalidRequestError, match="already finalized"):
        stripe_client.v1.invoices.finalize_invoice(draft.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice: 'in_nothing'"):
        stripe_client.v1.invoices.retrieve("in_nothing")


def test_stripe_makes_one_object_per_idempotency_key(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({"name": "Acme Coffee"})
    item: Any = {"customer": customer.id, "amount": 900, "currency": "usd"}
    first = stripe_client.v1.invoice_items.create(item, {"idempotency_key": "campaign-1"})
    again = stripe_client.v1.invoice_items.create(item, {"idempotency_key": "campaign-1"})
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        stripe_client.v1.invoice_items.create(item | {"amount": 901}, {"idempotency_key": "campaign-1"})
    invoice = stripe_client.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    assert (invoice.total, len(invoice.lines.data)) == (900, 1)


def test_sendgrid_accepts_mail(stubs: Stubs) -> None:
    mail = Mail("ads@seawall.example", "host@show.example", "Your ad-read", plain_text_content="Ready.")
    answer = SendGridAPIClient("SG.test", host=stubs.providers["sendgrid"]).send(mail)
    assert (answer.status_code, answer.body) == (202, b"")
    assert answer.headers["X-Message-Id"]
    with pytest.raises(UnauthorizedError):  # the SDK sends the key `None` as a word
        SendGridAPIClient(None, host=stubs.providers["sendgrid"]).send(mail)


BEARER = {"Authorization": "Bearer test"}
OPENAI_ERROR = {"error": {"message", "type", "param", "code"}}
WIRE: dict[str, tuple[str, dict[str, str], dict[str, set[str]]]] = {
    "openai": ("/v1/chat/completions", BEARER, OPENAI_ERROR),
    "anthropic": (
        "/v1/messages",
        {"x-api-key": "k", "anthropic-version": "2023-06-01"},
        {"error": {"type", "message"}},
    ),
    "deepseek": ("/chat/completions", BEARER, OPENAI_ERROR),
    "replicate": ("/v1/predictions", {"Authorization": "Token test"}, {"": {"title", "detail", "status"}}),
    "stripe": ("/v1/customers", BEARER | {"Content-Type": "application/json"}, {"error": {"type", "message"}}),
    "sendgrid": ("/v3/mail/send", BEARER, {"errors": {"message", "field", "help"}}),
}
"""A path, headers with a key, and where an error's fields are, for each provider."""


@pytest.mark.parametrize("provider", WIRE)
def test_provider_words_its_own_errors(stubs: Stubs, provider: str) -> None:
    url = stubs.providers[provider]
    path, key, shape = WIRE[provider]
    empty_key = {name: "" if name in {"Authorization", "x-api-key"} else value for name, value in key.items()}
    answers = [
        (401, *send(url, "POST", path, body="{}")),
        (401, *send(url, "POST", path, headers=empty_key, body="{}")),
        (404, *send(url, "GET", "/v9/nothing", headers=key)),
        (400, *send(url, "POST", path, headers=key, body="{not json")),
    ]
    stubs.fault(provider, "rate_limited", seconds=7)
    answers.append((429, *send(url, "POST", path, headers=key, body="{}")))
    assert answers[-1][2]["retry-after"] == "7"
    stubs.fault(provider, "error", status=503)
    answers.append((503, *send(url, "POST", path, headers=key, body="{}")))
    for expected, status, _, body in answers:
        assert status == expected
        for place, fields in shape.items():
            found = body[place] if place else body
            assert (found[0] if isinstance(found, list) else found).keys() >= fields
    assert stubs.requests()[provider]["answered"] == {"400": 1, "401": 2, "404": 1, "429": 1, "503": 1}


def test_sdks_raise_their_own_exceptions(stubs: Stubs, stripe_client: stripe.StripeClient) -> None:
    stubs.fault("stripe", "rate_limited")
    with pytest.raises(stripe.RateLimitError):
        stripe_client.v1.customers.create({"name": "Acme Coffee"})
    stubs.fault("sendgrid", "error", status=503)
    with pytest.raises(ServiceUnavailableError):
        SendGridAPIClient("SG.test", host=stubs.providers["sendgrid"]).send({})
    stubs.fault("anthropic", "error", status=529)

    async def overloaded() -> None:
        async with anthropic_client(stubs) as client:
            await client.messages.create(model="claude-sonnet-5-5", max_tokens=5, messages=MESSAGES)

    with pytest.raises(anthropic.InternalServerError) as raised:
        asyncio.run(overloaded())
    assert (raised.value.status_code, raised.value.type) == (529, "overloaded_error")


def test_healthy_answers_come_within_their_latency(stubs: Stubs) -> None:
    async def durations() -> list[float]:
        async with openai_client(stubs) as client:
            marks = [time.monotonic()]
            for _ in range(8):
                await chat(client)
                marks.append(time.monotonic())
            return [after - before for before, after in pairwise(marks)]

    measured = asyncio.run(durations())
    assert min(measured) >= LATENCY * 0.75
    assert min(measured[1:]) < 0.035  # with Nagle's algorithm on, every answer after the first takes 40 ms


def test_slow_answers_late(stubs: Stubs) -> None:
    stubs.fault("openai", "slow", seconds=0.3)
    started = time.monotonic()
    assert "Acme Coffee" in ask(stubs)
    assert time.monotonic() - started >= 0.3
    with pytest.raises(openai.APITimeoutError):
        ask(stubs, timeout=0.1)
    assert eventually(lambda: stubs.requests()["openai"]["abandoned"] == 1)


def test_rate_limited_says_when_to_come_back(stubs: Stubs) -> None:
    stubs.fault("openai", "rate_limited", seconds=2, count=1)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(stubs)
    assert raised.value.response.headers["retry-after"] == "2"
    assert raised.value.code == "rate_limit_exceeded"
    assert ask(stubs)  # the count is used up
    assert stubs.faults()["openai"] == {"kind": "rate_limited", "seconds": 2, "rate": 1.0, "count": 1, "remaining": 0}


def test_error_strikes_the_same_share_of_requests_each_time(stubs: Stubs) -> None:
    async def outcomes() -> list[bool]:
        async with openai_client(stubs) as client:
            answers = []
            for _ in range(20):
                try:
                    answers.append(bool(await chat(client)))
                except openai.InternalServerError:
                    answers.append(False)
            return answers

    stubs.fault("openai", "error", rate=0.5)
    first = asyncio.run(outcomes())
    stubs.fault("openai", "error", rate=0.5)
    assert asyncio.run(outcomes()) == first
    assert 3 < sum(first) < 17
    assert stubs.requests()["openai"]["faulted"] == {"error": 2 * (20 - sum(first))}


def test_hang_holds_until_the_client_leaves_or_the_fault_is_cleared(stubs: Stubs) -> None:
    stubs.fault("openai", "hang")
    with pytest.raises(openai.APITimeoutError):
        ask(stubs, timeout=0.1)
    assert eventually(lambda: stubs.requests()["openai"]["in_flight"] == 0)

    async def cleared() -> str:
        async with openai_client(stubs) as client:
            held = asyncio.create_task(chat(client))
            assert await asyncio.to_thread(eventually, lambda: stubs.requests()["openai"]["in_flight"] == 1)
            assert not held.done()
            await asyncio.to_thread(stubs.clear, "openai")
            return await held

    assert "Acme Coffee" in asyncio.run(cleared())
    counters = stubs.requests()["openai"]
    assert (counters["received"], counters["answered"], counters["abandoned"]) == (2, {"200": 1}, 1)


def test_reset_ends_the_connection_with_a_tcp_reset(stubs: Stubs) -> None:
    stubs.fault("openai", "reset")
    with pytest.raises(openai.APIConnectionError) as raised:
        ask(stubs)
    assert not isinstance(raised.value, openai.APITimeoutError)
    address = urlsplit(stubs.providers["openai"])
    with socket.create_connection((address.hostname, address.port), timeout=2) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nContent-Length: 2\r\n\r\n{}")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    assert stubs.requests()["openai"]["faulted"] == {"reset": 2}


def test_refused_closes_idle_connections_and_comes_back_on_the_same_port(stubs: Stubs) -> None:
    async def run() -> None:
        async with openai_client(stubs) as client:
            assert await chat(client)  # leaves an idle connection in the client's pool
            await asyncio.to_thread(stubs.fault, "openai", "refused")
            for _ in range(2):
                with pytest.raises(openai.APIConnectionError) as raised:
                    await chat(client)
                assert "All connection attempts failed" in str(raised.value.__cause__)
            assert await asyncio.to_thread(is_refused, stubs.providers["openai"])
            await asyncio.to_thread(stubs.clear, "openai")
            assert await chat(client)

    asyncio.run(run())
    assert not is_refused(stubs.providers["anthropic"])
    assert stubs.requests()["openai"]["received"] == 2


@pytest.mark.parametrize(
    ("provider", "kind", "options", "said"),
    [
        ("nobody", "slow", {}, "404"),
        ("openai", "explode", {}, "422 .*explode.*rate_limited"),
        ("openai", "refused", {"rate": 0.5}, "422 .*does not take"),
        ("openai", "error", {"status": 200}, "422 .*400 to 599"),
        ("openai", "slow", {"seconds": -1}, "422 .*0 or more"),
        ("openai", "slow", {"rate": 1.5}, "422 .*from 0 to 1"),
        ("openai", "hang", {"count": 0}, "422 .*from 1"),
    ],
)
def test_control_refuses_impossible_faults(
    stubs: Stubs, provider: str, kind: Kind, options: dict[str, float], said: str
) -> None:
    with pytest.raises(StubsError, match=said):
        stubs.fault(provider, kind, **options)
    assert set(stubs.faults().values()) == {None}


def test_control_refuses_what_is_not_json(stubs: Stubs) -> None:
    status, _, body = send(stubs.control, "PUT", "/faults/openai", body="slow")
    assert (status, body["given"]) == (400, "slow")


def test_process_ends_when_its_standard_input_does() -> None:
    with start_stubs() as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(3) == 0
        assert all(is_refused(url) for url in (running.control, *running.providers.values()))


def test_process_ends_with_the_block_although_a_request_hangs() -> None:
    with start_stubs() as running:
        running.fault("openai", "hang")
        address = urlsplit(running.providers["openai"])
        raw = socket.create_connection((address.hostname, address.port), timeout=3)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: stub\r\n\r\n")
        assert eventually(lambda: running.requests()["openai"]["in_flight"] == 1)
    with raw:
        assert raw.recv(1) == b""
    assert running.process.returncode == 0
    assert all(is_refused(url) for url in (running.control, *running.providers.values()))


def test_process_that_does_not_start_is_reported_with_its_standard_error() -> None:
    with pytest.raises(StubsError, match="--latency is -1"), start_stubs(latency=-1):
        pass
