"""The errors of a service whose providers are out."""

from __future__ import annotations

from typing import ClassVar

from seawall.core import SeawallError


class UnavailableError(SeawallError):
    """A provider does not answer now. `retry_after` is in seconds."""

    status = 503
    public = True
    reason: ClassVar[str] = "a provider does not answer"

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.reason}; try again in {self.retry_after:g} s"
