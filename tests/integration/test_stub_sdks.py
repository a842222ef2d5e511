"""The provider stubs, called by the providers' own SDKs over real sockets."""

import asyncio
from collections.abc import Iterator
from typing import Any

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

from podcasts.stubs.client import Stubs
from tests.integration.stub_calls import MESSAGES, PROMPT, chat, openai_client, send


def anthropic_client(stubs: Stubs) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key="sk-ant-test", base_url=stubs.providers["anthropic"], max_retries=0)


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
