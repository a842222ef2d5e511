"""Lua scripts, known to the server by the hash of their source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from seawall.redis.errors import RedisCommandError, RedisError
from seawall.redis.wire import Value, Waiter, refuse


class Script:
    """A Lua script that the server runs as one step. `source` is hashed once.

    Make it where the module is loaded, and `run` it wherever; it belongs to no connection.
    """

    __slots__ = ("sha1", "source")

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        self.sha1 = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def __repr__(self) -> str:
        return f"Script({self.sha1.decode()[:8]})"


class ScriptCall:
    """Waits for a script's result. Where the server has forgotten the script, it is sent again with its source."""

    __slots__ = ("_again", "_rest", "_script", "_waiter")

    def __init__(
        self,
        script: Script,
        rest: tuple[Value, ...],
        waiter: Waiter,
        again: Callable[[tuple[Value, ...], Waiter], None],
    ) -> None:
        self._script = script
        self._rest = rest
        self._waiter = waiter
        self._again = again

    def set_result(self, value: Any) -> None:
        """It ran."""
        self._waiter.set_result(value)

    def set_exception(self, error: Exception) -> None:
        """NOSCRIPT is no error yet: the script did not run."""
        if isinstance(error, RedisCommandError) and error.server_code == "NOSCRIPT":
            try:
                self._again((b"EVAL", self._script.source, *self._rest), self._waiter)
            except RedisError as lost:
                error = lost
            else:
                return
        if isinstance(error, RedisCommandError):
            self._waiter.set_exception(error)
        else:
            refuse(self._waiter, error)
