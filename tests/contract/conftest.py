"""The real servers of the integration tests."""

from tests.integration.conftest import redis_server, redis_url

__all__ = ["redis_server", "redis_url"]
