"""The facts that the web layer reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class ErrorAnswered(Event):
    """A request was answered with a problem. code, category, severity: the error's; error_id: of its log line."""

    code: str
    category: str
    severity: str
    status: int
    error_id: str | None
