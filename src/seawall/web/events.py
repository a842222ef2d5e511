"""The facts that the web layer reports."""

from __future__ import annotations

from dataclasses import dataclass, field

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class ErrorAnswered(Event):
    """A request was answered with a problem. code, category, severity: the error's; error_id: of its log line.

    error, route: from status 500 on, what was raised, and the template of the route that took the request.
    """

    code: str
    category: str
    severity: str
    status: int
    error_id: str | None
    error: BaseException | None = field(default=None, repr=False, compare=False)
    route: str | None = None
