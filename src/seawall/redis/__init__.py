"""One connection to Redis or Valkey for a whole process: many callers' commands in one write, faults seen at once.

async with Redis("redis://127.0.0.1:6379/0") as redis:
    value = await redis.get(b"key")
    await redis.execute("SET", "key", b"value", "EX", 60)
    count = await redis.run(Script("return redis.call('INCR', KEYS[1])"), [b"counter"])
"""

from seawall.core import MissingExtraError

try:
    import hiredis  # noqa: F401
    import redis  # noqa: F401
except ImportError as error:
    raise MissingExtraError("seawall.redis", error.name or "redis", "redis") from None

from seawall.redis.client import Redis, RedisStatistics
from seawall.redis.errors import RedisCommandError, RedisError, RedisTimeoutError, RedisUnavailableError
from seawall.redis.events import RedisConnected, RedisEvent, RedisLost
from seawall.redis.script import Script

__all__ = [
    "Redis",
    "RedisCommandError",
    "RedisConnected",
    "RedisError",
    "RedisEvent",
    "RedisLost",
    "RedisStatistics",
    "RedisTimeoutError",
    "RedisUnavailableError",
    "Script",
]
