"""Mail through SendGrid. Its SDK blocks, so it works in threads; a mail must not go out twice."""

from __future__ import annotations

import http.client
import urllib.error
from types import TracebackType
from typing import Self

from python_http_client.exceptions import HTTPError  # type: ignore[import-untyped]
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]
from sendgrid.helpers.mail import Mail  # type: ignore[import-untyped]

from podcasts.billing import breaker_health
from podcasts.config import Config
from podcasts.models import Campaign, Podcast, Sent
from podcasts.threads import Threads
from seawall import Seawall
from seawall.core import Health, SeawallError, deadline
from seawall.resilience import Bulkhead, CircuitBreaker, RejectedError, Retry, RetryBudget, Timeout

THREADS = 5
SHORTEST = 0.1
"""Seconds."""
SERVER_ERROR = 500
TOO_MANY_REQUESTS = 429


class MailUnavailableError(SeawallError):
    """The mail provider did not take the mail, or it is unknown whether it did."""

    code = "mail-unavailable"
    status = 503
    public = True

    def __str__(self) -> str:
        return "the mail provider did not confirm the mail; look into its log before sending again"


class Mailer:
    """A part that sends mail."""

    name = "mailer"

    def __init__(self, sea: Seawall, config: Config) -> None:
        provider = config.providers["sendgrid"]
        self._key = provider.key
        self._host = provider.url or "https://api.sendgrid.com"
        self._timeout = config.attempt_timeout
        self._threads = Threads("sendgrid", THREADS)
        self._breaker = CircuitBreaker.consecutive("sendgrid", failures=5, open_for=config.open_for, on=failed)
        pipeline = sea.pipeline(
            "sendgrid",
            Timeout(config.attempt_timeout),
            Retry(attempts=3, on=failed, unsent=unsent, idempotent=False, first_delay=0.2, budget=RetryBudget()),
            self._breaker,
        )
        self._send_in_thread = pipeline(self._send)
        # Before the threads, so that those who wait for a slow provider wait here, a bounded number of them.
        self._deliver = sea.pipeline("mail", Bulkhead(THREADS, max_waiting=50))(self._in_thread)

    async def send_copy(self, campaign: Campaign, podcast: Podcast) -> Sent:
        """Send the ad-read of `campaign` to the podcast's host."""
        text = campaign.ad_read.text if campaign.ad_read is not None else ""
        mail = Mail("ads@podcasts.example", podcast.email, f"Your ad-read for {podcast.title}", plain_text_content=text)
        try:
            return Sent(message_id=await self._deliver(mail))
        except Exception as error:
            if failed(error) or isinstance(error, RejectedError):
                raise MailUnavailableError from error
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.close()

    async def check(self) -> Health:
        """Degraded while SendGrid is out: nothing waits for mail."""
        return breaker_health(self._breaker)

    async def _in_thread(self, mail: Mail) -> str:
        return await self._threads.run(self._send_in_thread, mail)

    def _send(self, mail: Mail) -> str:
        # A client each time: its timeout is the time that this caller has left, less what an answer to him takes.
        client = SendGridAPIClient(self._key, host=self._host)
        client.client.timeout = max(SHORTEST, (deadline.bounded(self._timeout) or self._timeout) - SHORTEST)
        return str(client.send(mail).headers["X-Message-Id"])


def failed(error: BaseException) -> bool:
    """Whether SendGrid is at fault."""
    if isinstance(error, HTTPError):
        return int(error.status_code) >= SERVER_ERROR or int(error.status_code) == TOO_MANY_REQUESTS
    return isinstance(error, (OSError, http.client.HTTPException))


def unsent(error: BaseException) -> bool:
    """Whether the mail can't have gone out: refused before it was sent, or answered with 429."""
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return isinstance(error.reason, ConnectionRefusedError)
    return isinstance(error, HTTPError) and int(error.status_code) == TOO_MANY_REQUESTS
