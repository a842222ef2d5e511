"""The errors of the cache.

CacheError
├── UnstableKeyError (TypeError)       an argument that cannot be part of a key
├── UnserializableError (TypeError)    a value that would not come back as it was
├── ValueTooLargeError (ValueError)    a value above the limit
├── DecodeError                        stored bytes that are no value of this type; to a reader it is a miss
├── LoadTimeoutError (TimeoutError)    the loader took longer than its hard timeout
└── LoadFailedError                    the loader failed in another process, for which this one waited
"""

from __future__ import annotations

from seawall.core import SeawallError
from seawall.core.errors import Severity


class CacheError(SeawallError):
    """The root of the cache's errors."""

    code = "cache"
    category = "cache"
    severity = Severity.MEDIUM
    retryable = False


class UnstableKeyError(CacheError, TypeError):
    """An argument has no identity that is the same tomorrow and in the next process."""

    code = "cache-key"
    category = "cache"
    severity = Severity.HIGH
    retryable = False

    def __init__(self, template: str, argument: str, type_name: str) -> None:
        super().__init__(template, argument, type_name)
        self.template = template
        self.argument = argument
        self.type_name = type_name

    def __str__(self) -> str:
        return (
            f"cache key {self.template!r}: argument {self.argument!r} is a {self.type_name}, which has no stable "
            f"identity; name what identifies it, such as {{{self.argument}.id}}, or leave it out of the template"
        )


class UnserializableError(CacheError, TypeError):
    """A value cannot be stored so that it comes back as it was."""

    code = "cache-value"
    category = "cache"
    severity = Severity.HIGH
    retryable = False

    def __init__(self, type_name: str, reason: str) -> None:
        super().__init__(type_name, reason)
        self.type_name = type_name
        self.reason = reason

    def __str__(self) -> str:
        return f"a value of type {self.type_name} can't be cached: {self.reason}"


class ValueTooLargeError(CacheError, ValueError):
    """An encoded value is above the limit."""

    code = "cache-value-too-large"
    category = "cache"
    severity = Severity.HIGH
    retryable = False

    def __init__(self, key: str, size: int, limit: int) -> None:
        super().__init__(key, size, limit)
        self.key = key
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"the value of cache key {self.key!r} has {self.size} bytes, the limit is {self.limit}; "
            "store less of it, compress it, or raise max_value_bytes"
        )


class DecodeError(CacheError):
    """Stored bytes are no value of the type asked for: another version's, corrupt, or not ours."""

    code = "cache-decode"
    category = "cache"
    severity = Severity.MEDIUM
    retryable = False

    def __init__(self, type_name: str, reason: str) -> None:
        super().__init__(type_name, reason)
        self.type_name = type_name
        self.reason = reason

    def __str__(self) -> str:
        return f"cached bytes are no {self.type_name}: {self.reason}"


class LoadTimeoutError(CacheError, TimeoutError):
    """The loader took longer than its hard timeout, and there was nothing stale to answer with."""

    code = "cache-load-timeout"
    status = 504
    category = "cache"
    severity = Severity.MEDIUM
    retryable = True

    def __init__(self, key: str, timeout: float) -> None:
        super().__init__(key, timeout)
        self.key = key
        self.timeout = timeout

    def __str__(self) -> str:
        return f"loading cache key {self.key!r} took longer than {self.timeout:g} s"


class LoadFailedError(CacheError):
    """The load this process waited for failed in another one."""

    code = "cache-load-failed"
    status = 503
    category = "cache"
    severity = Severity.MEDIUM
    retryable = True

    def __init__(self, key: str, error_type: str) -> None:
        super().__init__(key, error_type)
        self.key = key
        self.error_type = error_type

    def __str__(self) -> str:
        return (
            f"loading cache key {self.key!r} failed in another process with {self.error_type}; "
            "an error that is an answer belongs in `Freshness(negative_errors=…)`, which brings it here as itself"
        )
