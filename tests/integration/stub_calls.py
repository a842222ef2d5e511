"""What the tests of the provider stubs share: clients, and one request without any SDK."""

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import openai

from podcasts.stubs.client import Stubs

PROMPT = "Write an ad-read. Sponsor: Acme Coffee. Podcast: Deep Sea Tales. Promo code: DEEP20"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
LATENCY = 0.005


def openai_client(stubs: Stubs, *, timeout: float = 5.0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="sk-test", base_url=f"{stubs.providers['openai']}/v1", max_retries=0, timeout=timeout
    )


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
