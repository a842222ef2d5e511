"""Writes ad-reads with language models: OpenAI first, then whoever is well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Any, Self

import anthropic
import httpx
import httpx2
import openai
from openai.types.chat import ChatCompletion
from replicate.client import Client as ReplicateClient
from replicate.exceptions import ReplicateError

from podcasts.config import Config, Provider
from podcasts.models import Campaign, Copy, Podcast, Sponsor
from podcasts.unavailable import UnavailableError
from seawall import Seawall
from seawall.core import Health, Status
from seawall.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    DeadlineExceededError,
    Fallback,
    Pipeline,
    RejectedError,
    Retry,
    RetryBudget,
    Timeout,
)
from seawall.resilience.httpx2 import PipelineTransport
from seawall.telemetry.logs import api_call

SERVER_ERROR = 500
TOO_MANY_REQUESTS = 429


class CopyUnavailableError(UnavailableError):
    """No language model could write the ad-read now."""

    code = "copy-unavailable"
    reason = "no language model could write the ad-read"


class Copywriter:
    """A part that writes ad-reads. Degraded, never unhealthy: the service does much that needs no language model."""

    name = "copywriter"

    def __init__(self, sea: Seawall, config: Config) -> None:
        providers = config.providers
        # The SDKs' own retries are off: ours know the budget, the breaker and the caller's deadline.
        self._http = httpx2.AsyncClient(transport=PipelineTransport())
        self._openai = openai_client(providers["openai"], self._http)
        self._deepseek = openai_client(providers["deepseek"], self._http)
        self._anthropic = anthropic.AsyncAnthropic(
            api_key=providers["anthropic"].key,
            base_url=providers["anthropic"].url,
            max_retries=0,
            http_client=self._http,
        )
        replicate = providers["replicate"]
        self._replicate_http = httpx.AsyncHTTPTransport()
        self._replicate = ReplicateClient(replicate.key, base_url=replicate.url, transport=self._replicate_http)

        def behind(name: str, write: Callable[[str], Awaitable[Copy]]) -> Callable[[str], Any]:
            pipeline = provider_pipeline(sea, name, config)
            self._breakers[name] = sea.breakers[name]

            @wraps(write)
            async def write_and_tell(text: str) -> Copy:
                with api_call(name) as call:
                    copy = await write(text)
                    call.model, call.tokens = copy.model, copy.tokens
                tokens.inc(copy.tokens, provider=name)
                return copy

            return pipeline(write_and_tell)

        tokens = sea.metrics.counter("ad_read_tokens_total", "Tokens that ad-reads took.", labels=("provider",))
        self._breakers: dict[str, CircuitBreaker] = {}
        first = behind("openai", self.with_openai)
        others = [
            behind("anthropic", self.with_anthropic),
            behind("deepseek", self.with_deepseek),
            behind("replicate", self.with_replicate),
        ]
        self._write: Callable[[str], Any] = sea.pipeline("copy", Fallback(*others, on=failed_or_rejected))(first)
        self._retry_after = config.open_for

    async def write(self, campaign: Campaign, podcast: Podcast, sponsor: Sponsor) -> Copy:
        """An ad-read for `campaign`. Raises `CopyUnavailableError` when every provider failed."""
        try:
            copy: Copy = await self._write(prompt(campaign, podcast, sponsor))
        except Exception as error:
            if failed_or_rejected(error):
                raise CopyUnavailableError(self._retry_after) from error
            raise
        return copy

    async def with_openai(self, text: str) -> Copy:
        """Have OpenAI write."""
        answer = await self._openai.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": text}]
        )
        return chat_copy("openai", answer)

    async def with_deepseek(self, text: str) -> Copy:
        """Have DeepSeek write."""
        answer = await self._deepseek.chat.completions.create(
            model="deepseek-chat", messages=[{"role": "user", "content": text}]
        )
        return chat_copy("deepseek", answer)

    async def with_anthropic(self, text: str) -> Copy:
        """Have Anthropic write."""
        answer = await self._anthropic.messages.create(
            model="claude-sonnet-5-5", max_tokens=500, messages=[{"role": "user", "content": text}]
        )
        written = "".join(block.text for block in answer.content if block.type == "text")
        return Copy(text=written, provider="anthropic", model=answer.model, tokens=answer.usage.output_tokens)

    async def with_replicate(self, text: str) -> Copy:
        """Have a model on Replicate write."""
        model = "meta/meta-llama-3-70b-instruct"
        answer = await self._replicate.models.predictions.async_create(model, input={"prompt": text}, wait=True)
        await answer.async_wait()
        written = "".join(answer.output or [])
        tokens = int((answer.metrics or {}).get("output_token_count", len(written) // 4))
        return Copy(text=written, provider="replicate", model=model, tokens=tokens)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        await self._replicate_http.aclose()

    async def check(self) -> Health:
        """Which providers are out."""
        out = [name for name, breaker in self._breakers.items() if breaker.state is not CircuitState.CLOSED]
        if out:
            return Health(status=Status.DEGRADED, message=f"without {', '.join(out)}")
        return Health(status=Status.HEALTHY)


def provider_pipeline(sea: Seawall, name: str, config: Config) -> Pipeline:
    """What stands before each language model."""
    return sea.pipeline(
        name,
        Bulkhead(50, max_waiting=100),
        Timeout(config.total_timeout),
        Retry(attempts=3, on=failed, first_delay=0.2, max_delay=2.0, budget=RetryBudget()),
        CircuitBreaker.consecutive(name, failures=3, open_for=config.open_for, on=failed),
        Timeout(config.attempt_timeout),
    )


def openai_client(provider: Provider, http: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    """A client for OpenAI, or for who speaks its language."""
    url = None if provider.url is None else f"{provider.url}/v1"
    return openai.AsyncOpenAI(api_key=provider.key, base_url=url, max_retries=0, http_client=http)


def failed(error: BaseException) -> bool:
    """Whether the provider is at fault, and may do better next time."""
    if isinstance(error, ReplicateError):
        return error.status is None or error.status >= SERVER_ERROR or error.status == TOO_MANY_REQUESTS
    return isinstance(
        error,
        (
            TimeoutError,
            httpx.TransportError,
            openai.APIConnectionError,
            openai.InternalServerError,
            openai.RateLimitError,
            anthropic.APIConnectionError,
            anthropic.InternalServerError,
            anthropic.RateLimitError,
        ),
    )


def failed_or_rejected(error: BaseException) -> bool:
    """Whether another provider should be asked: this one failed, or its pipeline refused to call it. Not where that is
    because the caller's time is up: his answer is a 504, whoever is well.
    """
    return not isinstance(error, DeadlineExceededError) and (failed(error) or isinstance(error, RejectedError))


def prompt(campaign: Campaign, podcast: Podcast, sponsor: Sponsor) -> str:
    """What the models are asked."""
    return (
        f"Write a 60-second ad-read for {podcast.host} to speak. Sponsor: {sponsor.name}. Podcast: {podcast.title}. "
        f"Product: {sponsor.product}. Promo code: {campaign.promo_code}"
    )


def chat_copy(provider: str, answer: ChatCompletion) -> Copy:
    """The ad-read in a chat completion."""
    tokens = answer.usage.completion_tokens if answer.usage is not None else 0
    return Copy(text=answer.choices[0].message.content or "", provider=provider, model=answer.model, tokens=tokens)
