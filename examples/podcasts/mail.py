"""Mail through SendGrid. Its SDK blocks, so it works in threads; a mail must not go out twice."""

from __future__ import annotations

import asyncio
import http.client
import urllib.error

from python_http_client.exceptions import HTTPError  # type: ignore[import-untyped]
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]
from sendgrid.helpers.mail import Mail  # type: ignore[import-untyped]

from podcasts.config import Config
from podcasts.models import Campaign, Podcast, Sent
from seawall import Seawall
from seawall.core import SeawallError
from seawall.resilience import Bulkhead, CircuitBreaker, RejectedError, Retry, RetryBudget, Timeout

SERVER_ERROR = 500
TOO_MANY_REQUESTS = 429


class MailUnavailableError(SeawallError):
    """The mail provider did not take the mail, or it is unknown whether it did."""

    code = "mail-unavailable"
    status = 503

    def __str__(self) -> str:
        return "the mail provider did not confirm the mail; look into its log before sending again"


class Mailer:
    """Sends mail."""

    def __init__(self, sea: Seawall, config: Config) -> None:
        provider = config.providers["sendgrid"]
        self._client = SendGridAPIClient(provider.key, host=provider.url or "https://api.sendgrid.com")
        self._client.client.timeout = config.attempt_timeout
        pipeline = sea.pipeline(
            "sendgrid",
            Bulkhead(5, max_waiting=50),
            Timeout(config.attempt_timeout),
            Retry(attempts=3, on=failed, unsent=unsent, idempotent=False, first_delay=0.2, budget=RetryBudget()),
            CircuitBreaker.consecutive("sendgrid", failures=5, open_for=config.open_for, on=failed),
        )
        self._send = pipeline(self._send_blocking)

    async def send_copy(self, campaign: Campaign, podcast: Podcast) -> Sent:
        """Send the ad-read of `campaign` to the podcast's host."""
        text = campaign.ad_read.text if campaign.ad_read is not None else ""
        mail = Mail("ads@podcasts.example", podcast.email, f"Your ad-read for {podcast.title}", plain_text_content=text)
        try:
            return Sent(message_id=await asyncio.to_thread(self._send, mail))
        except Exception as error:
            if failed(error) or isinstance(error, RejectedError):
                raise MailUnavailableError from error
            raise

    def _send_blocking(self, mail: Mail) -> str:
        return str(self._client.send(mail).headers["X-Message-Id"])


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
