"""Invoices through Stripe, each request behind a pipeline."""

from __future__ import annotations

from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import requests
import stripe

from podcasts.config import Config
from podcasts.models import Campaign, Invoice, Sponsor
from podcasts.threads import Threads
from podcasts.unavailable import UnavailableError
from seawall import Seawall
from seawall.core import Health, Status
from seawall.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    RejectedError,
    Retry,
    RetryBudget,
    Timeout,
)
from seawall.resilience.http import FAILED_STATUSES, ResponseError, idempotent
from seawall.resilience.requests import PipelineAdapter

CENTS = 100
THREADS = 10
LOCKED = 409


class BillingUnavailableError(UnavailableError):
    """The payment provider did not answer; nothing was charged twice."""

    code = "billing-unavailable"
    reason = "the payment provider does not answer"


class Billing:
    """A part that makes invoices. Every request has an idempotency key, so every one may be repeated."""

    name = "billing"

    def __init__(self, sea: Seawall, config: Config) -> None:
        provider = config.providers["stripe"]
        breaker = CircuitBreaker.consecutive("stripe", failures=5, open_for=config.open_for)
        pipeline = sea.pipeline(
            "stripe",
            Timeout(config.total_timeout),
            Retry(
                attempts=3,
                on=(requests.ConnectionError, requests.Timeout, ResponseError),
                first_delay=0.2,
                max_delay=2.0,
                budget=RetryBudget(),
                idempotent=idempotent,
            ),
            breaker,
            Timeout(config.attempt_timeout),
        )
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, PipelineAdapter(pipeline, failed=failed))
        addresses: Any = {} if provider.url is None else {"api": provider.url}
        self._stripe = stripe.StripeClient(
            provider.key,
            base_addresses=addresses,
            http_client=stripe.RequestsClient(session=self._session),
            max_network_retries=0,
        )
        self._breaker = breaker
        # Before the threads, so that those who wait for a slow provider wait here, a bounded number of them.
        self._threads = Threads("stripe", THREADS)
        waiting = sea.pipeline("invoices", Bulkhead(THREADS, max_waiting=50))
        self._in_thread = waiting(self._invoice_in_thread)
        self._retry_after = config.open_for

    async def invoice(self, campaign: Campaign, sponsor: Sponsor) -> Invoice:
        """The invoice of `campaign`; the same one however often it is asked for."""
        try:
            return await self._in_thread(campaign, sponsor)
        except (stripe.APIConnectionError, stripe.APIError, stripe.RateLimitError, RejectedError) as error:
            raise BillingUnavailableError(self._retry_after) from error

    async def _invoice_in_thread(self, campaign: Campaign, sponsor: Sponsor) -> Invoice:
        return await self._threads.run(self._invoice, campaign, sponsor)

    def _invoice(self, campaign: Campaign, sponsor: Sponsor) -> Invoice:
        def key(step: str) -> Any:
            return {"idempotency_key": f"{campaign.id}-{step}"}

        api = self._stripe.v1
        customer = api.customers.create({"name": sponsor.name, "email": sponsor.email}, key("customer"))
        draft = api.invoices.create(
            {"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 30}, key("invoice")
        )
        assert draft.id is not None  # noqa: S101 - only previews have no id
        item: Any = {
            "customer": customer.id,
            "invoice": draft.id,
            "amount": int(campaign.budget * CENTS),
            "currency": "usd",
            "description": f"Campaign {campaign.promo_code}",
        }
        api.invoice_items.create(item, key("item"))
        final = api.invoices.finalize_invoice(draft.id, {}, key("finalize"))
        return Invoice(
            id=draft.id, number=final.number, status=final.status or "open", amount=Decimal(final.amount_due) / CENTS
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.close()
        self._session.close()

    async def check(self) -> Health:
        """Degraded while Stripe is out: ad-reads can be written without it."""
        return breaker_health(self._breaker)


def breaker_health(breaker: CircuitBreaker) -> Health:
    """Degraded while `breaker` is not closed."""
    if breaker.state is CircuitState.CLOSED:
        return Health(status=Status.HEALTHY)
    return Health(status=Status.DEGRADED, message=f"the breaker of {breaker.name} is {breaker.state}")


def failed(response: requests.Response) -> bool:
    """Whether Stripe may answer otherwise next time: it says so itself, or the status does (409: a lock)."""
    said = response.headers.get("Stripe-Should-Retry")
    if said is not None:
        return bool(said == "true")
    return response.status_code in FAILED_STATUSES | {LOCKED}
