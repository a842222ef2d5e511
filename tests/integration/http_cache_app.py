"""The application of the HTTP cache's integration tests: a process of its own, with memory and Redis as told."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.middleware.gzip import GZipMiddleware

from seawall.cache import Cache, MemoryTier, RedisTier
from seawall.web.http_cache import http_cached, install_http_cache

_shared = [RedisTier(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])] if "REDIS_URL" in os.environ else []
cache = Cache(MemoryTier(), *_shared)
runs = 0


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    install_http_cache(app)
    async with cache:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(GZipMiddleware, minimum_size=100)


@app.get("/podcasts/{tenant}")
@http_cached(cache, ttl=60, tags=["tenant:{tenant}"])
async def podcasts(tenant: str, accept_language: Annotated[str, Header()] = "en") -> dict[str, str]:
    """Slow, and long enough to be compressed."""
    global runs  # noqa: PLW0603
    runs += 1
    await asyncio.sleep(0.2)
    return {"tenant": tenant, "language": accept_language, "text": "podcast " * 50}


@app.get("/runs")
async def count() -> int:
    """How often the endpoint ran in this process."""
    return runs


@app.post("/invalidate/{tenant}")
async def invalidate(tenant: str) -> None:
    """Void what is stored of a tenant."""
    await cache.invalidate(f"tenant:{tenant}")
