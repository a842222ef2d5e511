"""The errors of the connection to Redis.

RedisError
├── RedisUnavailableError      there is no connection; the command was not sent, or its answer was lost
│   └── RedisTimeoutError (TimeoutError)   the server did not answer in time
└── RedisCommandError          the server answered, with an error
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.core import SeawallError
from seawall.core.errors import Severity


class RedisError(SeawallError):
    """The root of what `seawall.redis` raises."""

    code = "redis"
    category = "redis"
    severity = Severity.MEDIUM
    retryable = False


class RedisUnavailableError(RedisError):
    """There is no connection: the command was refused at once, or was under way when the connection was lost.

    In the second case nobody knows whether the server ran it. Raised a thousand times while the server is away,
    so its attributes are read from `args` when asked for.
    """

    code = "redis-unavailable"
    status = 503
    category = "redis"
    severity = Severity.HIGH
    retryable = True

    if TYPE_CHECKING:

        def __init__(self, name: str, address: str, reason: str) -> None: ...
    else:
        __init__ = Exception.__init__

    @property
    def name(self) -> str:
        """The client's name."""
        return str(self.args[0])

    @property
    def address(self) -> str:
        """Where the server was looked for, as host:port."""
        return str(self.args[1])

    @property
    def reason(self) -> str:
        """Why there is no connection."""
        return str(self.args[2])

    @property
    def attributes(self) -> dict[str, Any]:
        """The error's data by name."""
        return {"name": self.name, "address": self.address, "reason": self.reason}

    def __str__(self) -> str:
        return (
            f"{self.name!r} has no connection to Redis at {self.address} ({self.reason}); it reconnects by itself, "
            "so check that the server runs and that the URL names it"
        )


class RedisTimeoutError(RedisUnavailableError, TimeoutError):
    """The server did not answer in time, so the connection was given up, with every command under way."""

    code = "redis-timeout"
    category = "redis"
    severity = Severity.HIGH
    retryable = True

    def __str__(self) -> str:
        return (
            f"Redis at {self.address} gave {self.name!r} {self.reason}; it reconnects by itself, "
            "so check the server's load, its slow log, and the network"
        )


class RedisCommandError(RedisError):
    """The server refused a command, or failed on it."""

    code = "redis-command"
    category = "redis"
    severity = Severity.MEDIUM
    retryable = False

    def __init__(self, name: str, address: str, text: str) -> None:
        # The server quotes the arguments of a command it doesn't know.
        text = text.partition(", with args beginning with")[0]
        super().__init__(name, address, text)
        self.name = name
        self.address = address
        self.text = text

    @property
    def server_code(self) -> str:
        """The first word of the server's answer: OOM, READONLY, NOSCRIPT, WRONGTYPE, ERR …"""
        return self.text.partition(" ")[0]

    def __str__(self) -> str:
        return f"Redis at {self.address} answered {self.name!r} with an error: {self.text}"
