"""What the middleware does for each request, and whom it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.types import Scope

from seawall.core import SYSTEM_CLOCK, Clock
from seawall.core.correlation import Correlation
from seawall.web.client_address import client_of
from seawall.web.problems import Problems


@dataclass(slots=True)
class Served:
    """A request that was served. at: when it came, as seconds of the epoch. seconds: until the answer was through."""

    at: float
    method: str
    path: str
    route: str
    status: int
    seconds: float
    client: str
    size: int
    correlation: Correlation


class Recorder(Protocol):
    """Is told of requests: counts them, writes them down.

    One that has a method `began` is told of each request that comes, too.
    """

    @property
    def ended(self) -> Callable[[Served], object]:
        """Takes a request that was served."""
        ...


class SocketRecorder(Protocol):
    """Is told of websockets."""

    def opened(self) -> None:
        """One has come."""
        ...

    def closed(self, route: str, seconds: float) -> None:
        """It has gone, after so long."""
        ...


class Admission(Protocol):
    """Says how many requests may be under way at once; `seawall.resilience.AdaptiveLimit` is one."""

    def admit(self) -> Callable[[bool], None]:
        """Let one in, at once. Returns what is to be called when it is done, with whether it took too long.

        Raises a `SeawallError` when there are too many.
        """
        ...


class Span(Protocol):
    """A request's part in a trace that is recorded."""

    def ended(self, served: Served, error: BaseException | None) -> None:
        """The request was served."""
        ...


class Tracer(Protocol):
    """Records traces."""

    def sample(self) -> bool:
        """Whether a trace that begins here is recorded."""
        ...

    def began(self, scope: Scope, work: Correlation, parent: str | None) -> Span:
        """A request of a recorded trace has come; its span's id is in `work` afterwards."""
        ...


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What is switched on.

    timeout: seconds for a request whose caller sends no `Request-Timeout`; a caller may ask for less, not more.
    body_limit: the bytes a request's body may have. headers: on every response that doesn't set them itself;
    page_headers: likewise, but not on JSON, which no browser shows as a page. client: who sent a request.
    recorders, sockets: told of each request and websocket. admission: sheds load, except from `exempt` paths.
    tracer: records traces. problems: answers errors. began, ended: tell all recorders.
    """

    timeout: float = 60.0
    body_limit: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    page_headers: tuple[tuple[bytes, bytes], ...] = ()
    client: Callable[[Scope], str] = client_of
    recorders: Sequence[Recorder] = ()
    sockets: Sequence[SocketRecorder] = ()
    admission: Admission | None = None
    exempt: frozenset[str] = frozenset()
    tracer: Tracer | None = None
    problems: Problems = field(default_factory=Problems)
    clock: Clock = SYSTEM_CLOCK
    all_headers: tuple[tuple[bytes, bytes], ...] = field(init=False)
    names: frozenset[bytes] = field(init=False)
    began: Callable[[], object] = field(init=False, repr=False, compare=False)
    ended: Callable[[Served], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        told: Sequence[Any] = self.recorders
        object.__setattr__(self, "all_headers", self.headers + self.page_headers)
        object.__setattr__(self, "names", frozenset(name for name, _ in self.all_headers))
        object.__setattr__(self, "began", _all(recorder.began for recorder in told if hasattr(recorder, "began")))
        object.__setattr__(self, "ended", _all(recorder.ended for recorder in told))


def _all(functions: Iterable[Callable[..., object]]) -> Callable[..., object]:
    """A function that calls all of them; where there is but one, that one."""
    first, *others = [*functions] or [_nothing]
    if not others:
        return first

    def call(*given: object) -> None:
        first(*given)
        for other in others:
            other(*given)

    return call


def _nothing(*_: object) -> None:
    """Nobody is told."""
